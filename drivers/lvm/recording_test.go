package lvm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

const (
	groupUUID = "omDRf6-PQ7B-DLZd-mf5c-cuEj-AZCa-4KC3rl"
	thickUUID = "LykYs6-bEgT-C464-5mcy-gF3F-rQBB-6LI3Ij"
	thinUUID  = "bcT6Q1-KLul-hjv3-u7r9-znls-K0VN-wt8CoA"
	snapUUID  = "HCXt7n-dy8T-xoS8-h2pk-bmfV-0ZNh-pwiGiT"
	otherUUID = "7JEApn-XNPl-mAK1-ZrBD-vhM8-uSfx-QmjJJZ"
)

// recorder is a Runner with a volume group in its head: lvs shows the LVs, and
// what changes them is a function of the test. It keeps the command lines.
type recorder struct {
	lvs    []lv
	free   int64
	table  string // of device-mapper, for any device
	change func(r *recorder, c Command) error
	calls  []string
}

func (r *recorder) Run(ctx context.Context, c Command, stdout io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.calls = append(r.calls, c.String())
	switch {
	case c.Changes:
		if r.change == nil {
			return fmt.Errorf("%s was not expected", c)
		}
		return r.change(r, c)
	case c.Args[0] == "vgs":
		_, err := fmt.Fprintf(stdout, `{"report":[{"vg":[{"vg_free":"%d","vg_extent_size":"4194304"}]}]}`, r.free)
		return err
	case c.Args[0] == "table":
		_, err := fmt.Fprint(stdout, r.table)
		return err
	case c.Args[0] == "lvs":
		selection := c.Args[len(c.Args)-2]
		rows := []lv{}
		for _, l := range r.lvs {
			if strings.Contains(selection, `lv_name="`+l.Name+`"`) || strings.HasPrefix(selection, "lv_tags=") && (l.tagged(tagOurs) || l.tagged(tagBase)) {
				rows = append(rows, l)
			}
		}
		text, err := json.Marshal(rows)
		if err == nil {
			_, err = fmt.Fprintf(stdout, `{"report":[{"lv":%s}]}`, text)
		}
		return err
	}
	return nil
}

// did gives the commands that were run since, without what all reports have in
// common.
func (r *recorder) did() []string {
	calls := r.calls
	r.calls = nil
	for i, c := range calls {
		calls[i] = strings.ReplaceAll(strings.ReplaceAll(c, strings.Join(format, " "), "FORMAT"), columns, "COLUMNS")
	}
	return calls
}

func (r *recorder) remove(name string) {
	r.lvs = slices.DeleteFunc(r.lvs, func(l lv) bool { return l.Name == name })
}

func thickLV(name, uuid string) lv {
	return lv{Name: name, UUID: uuid, GroupUUID: groupUUID, Attr: "-wi-a-----", Size: "10737418240", Time: "1795221469", SegType: "linear", Zero: "-1"}
}

func thinLV(name, uuid string) lv {
	return lv{Name: name, UUID: uuid, GroupUUID: groupUUID, Attr: "Vwi-a-tz--", Size: "10737418240", Time: "1795221470", SegType: "thin", Pool: "pool", ThinID: "1"}
}

func snapLV(origin lv, snapshot string) lv {
	l := origin
	l.Name, l.UUID, l.Attr = lvName("vg-1", origin.Name, snapshot), snapUUID, "Vri---tz-k"
	if !origin.thin() {
		l.Attr, l.Size, l.OriginSize = "sri-a-s---", "2147483648", origin.Size
	}
	l.Origin, l.OriginUUID = origin.Name, origin.UUID
	l.Tags = strings.Join([]string{tagOurs, tagOrigin + origin.UUID, tagSnapshot + snapshot, tagVolume + origin.Name}, ",")
	return l
}

func recorded(t *testing.T, r *recorder) *Volumes {
	t.Helper()
	v, err := Open(t.Context(), Options{VolumeGroup: "vg-1", Host: "node1.example", Runner: r, StateDir: t.TempDir(), DevDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	r.did()
	return v
}

func location(v *Volumes, name string) stowage.VolumeLocation {
	return stowage.VolumeLocation{Backend: v.Backend(), VolumeID: "1", Name: name}
}

func wantCalls(t *testing.T, what string, r *recorder, want ...string) {
	t.Helper()
	if got := r.did(); !slices.Equal(got, want) {
		t.Errorf("%s ran\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func wantCoded(t *testing.T, what string, err error, code stowage.Code) {
	t.Helper()
	if err == nil || stowage.CodeOf(err) != code {
		t.Errorf("%s: got %v (%s), want an error of code %s", what, err, stowage.CodeOf(err), code)
	}
}
