package lvm

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

// lv is a row of lvs. All columns are text in its JSON.
type lv struct {
	Name       string `json:"lv_name"`
	UUID       string `json:"lv_uuid"`
	GroupUUID  string `json:"vg_uuid"`
	Attr       string `json:"lv_attr"`
	Size       string `json:"lv_size"`
	Time       string `json:"lv_time"`
	Tags       string `json:"lv_tags"`
	Origin     string `json:"origin"`
	OriginUUID string `json:"origin_uuid"`
	OriginSize string `json:"origin_size"`
	SegType    string `json:"segtype"`
	Pool       string `json:"pool_lv"`
	ThinID     string `json:"thin_id"`
	ChunkSize  string `json:"chunk_size"`
	Zero       string `json:"zero"`
	Data       string `json:"data_percent"`
}

const columns = "lv_name,lv_uuid,vg_uuid,lv_attr,lv_size,lv_time,lv_tags,origin,origin_uuid,origin_size," +
	"segtype,pool_lv,thin_id,chunk_size,zero,data_percent"

// format makes reports what we read, whatever lvm.conf says of them.
var format = []string{
	"--reportformat", "json", "--units", "b", "--nosuffix", "--binary",
	"--config", `report{time_format="%s" list_item_separator=","} log{report_command_log=0}`,
}

// Letters of lv_attr that we go by, see lvs(8).
const (
	attrType  = 0 // '-' plain, 'o' origin, 's' classic snapshot, 'V' thin, ...
	attrState = 4 // 'a' active, '-' not, 's' suspended, 'I' invalid snapshot, ...
	attrOpen  = 5 // 'o' somebody has the device open
)

func (l *lv) attr(i int) byte {
	if i < len(l.Attr) {
		return l.Attr[i]
	}
	return 0
}

func (l *lv) thin() bool   { return l.SegType == "thin" && l.Pool != "" }
func (l *lv) active() bool { return l.attr(attrState) != '-' && l.attr(attrState) != 0 }

// classicSnapshot: 'S' is one that is being merged back.
func (l *lv) classicSnapshot() bool { t := l.attr(attrType); return t == 's' || t == 'S' }

// overflowed: the store has run full, or was found damaged.
func (l *lv) overflowed() bool {
	s := l.attr(attrState)
	return l.classicSnapshot() && (s == 'I' || s == 'S')
}

// volume: it is something a user's volume can be, and none of lvm2's parts.
func (l *lv) volume() bool { return strings.IndexByte("-orRmMCV", l.attr(attrType)) >= 0 }

// tag gives what stands behind the prefix in a tag.
func (l *lv) tag(prefix string) string {
	for t := range strings.SplitSeq(l.Tags, ",") {
		if value, ok := strings.CutPrefix(t, prefix); ok {
			return value
		}
	}
	return ""
}

func (l *lv) tagged(tag string) bool { return slices.Contains(strings.Split(l.Tags, ","), tag) }

func (l *lv) ours() bool { return !l.cinders() && l.tagged(tagOurs) || l.base() }

// base: it is a snapshot that was kept, or is about to be.
func (l *lv) base() bool { return !l.cinders() && l.tagged(tagBase) }

// named: it is the snapshot of this name. One that is being kept has two.
func (l *lv) named(snapshot string) bool { return l.tagged(tagSnapshot + snapshot) }

// orphan: the volume it is a snapshot of is gone.
func (l *lv) orphan() bool { return l.OriginUUID != l.tag(tagOrigin) }

// bytes is the length of what is read from it; the size of a classic snapshot
// itself is that of its store.
func (l *lv) bytes() (int64, error) {
	size := l.Size
	if l.classicSnapshot() {
		size = l.OriginSize
	}
	return number(l, "size", size)
}

func (l *lv) made() (time.Time, error) {
	seconds, err := number(l, "time", l.Time)
	return time.Unix(seconds, 0).UTC(), err
}

func number(l *lv, what, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("LV %s has the %s %q", l.Name, what, text)
	}
	return n, nil
}

// find gives those of the LVs that are there. Names must have been checked.
// Parts of LVs, such as a pool's metadata, are not found.
func (v *Volumes) find(ctx context.Context, names ...string) (map[string]*lv, error) {
	var selection []string
	for _, name := range names {
		selection = append(selection, `lv_name="`+name+`"`)
	}
	rows, err := v.list(ctx, strings.Join(selection, " || "))
	if err != nil {
		return nil, err
	}
	found := map[string]*lv{}
	for _, l := range rows {
		if slices.Contains(names, l.Name) {
			found[l.Name] = l
		}
	}
	return found, nil
}

// list gives the LVs of a selection, each once: there is a row for every
// segment, of which the first will do, as thin LVs and pools have but one. A
// selection is not an error when nothing matches, as a name would be.
func (v *Volumes) list(ctx context.Context, selection string) ([]*lv, error) {
	args := slices.Concat([]string{"lvs"}, format, []string{"-o", columns, "-S", selection, v.o.VolumeGroup})
	out, err := v.lvm(ctx, false, args...)
	if err != nil {
		return nil, away(ctx, err, "look into volume group %s", v.o.VolumeGroup)
	}
	var answer struct {
		Report []struct {
			LV []*lv `json:"lv"`
		} `json:"report"`
	}
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Report) != 1 {
		return nil, fmt.Errorf("lvs of volume group %s answered %.200q: %w", v.o.VolumeGroup, out, err)
	}
	var rows []*lv
	for _, l := range answer.Report[0].LV {
		if n := len(rows); n > 0 && rows[n-1].UUID == l.UUID {
			continue
		}
		if !validUUID(l.UUID) || !validUUID(l.GroupUUID) {
			return nil, fmt.Errorf("lvs of volume group %s gave LV %q the uuid %q", v.o.VolumeGroup, l.Name, l.UUID)
		}
		rows = append(rows, l)
	}
	return rows, nil
}

// space gives the free bytes of the volume group and the size of its extents.
func (v *Volumes) space(ctx context.Context) (free, extent int64, err error) {
	args := slices.Concat([]string{"vgs"}, format, []string{"-o", "vg_free,vg_extent_size", v.o.VolumeGroup})
	out, err := v.lvm(ctx, false, args...)
	if err != nil {
		return 0, 0, away(ctx, err, "look at volume group %s", v.o.VolumeGroup)
	}
	var answer struct {
		Report []struct {
			VG []struct {
				Free   int64 `json:"vg_free,string"`
				Extent int64 `json:"vg_extent_size,string"`
			} `json:"vg"`
		} `json:"report"`
	}
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Report) != 1 || len(answer.Report[0].VG) != 1 {
		return 0, 0, fmt.Errorf("vgs of volume group %s answered %.200q: %w", v.o.VolumeGroup, out, err)
	}
	group := answer.Report[0].VG[0]
	if group.Extent <= 0 {
		return 0, 0, fmt.Errorf("volume group %s has extents of %d bytes", v.o.VolumeGroup, group.Extent)
	}
	return group.Free, group.Extent, nil
}

// away gives a tool that failed while it only looked the code it deserves:
// what it looked for was named by a selection, so it is the group that is
// missing, or lvm2 that is in trouble.
func away(ctx context.Context, err error, doing string, args ...any) error {
	if ctx.Err() != nil || stowage.CodeOf(err) != stowage.Internal {
		return fmt.Errorf(doing+": %w", append(args, err)...)
	}
	return stowage.Wrap(stowage.Unavailable, err, doing, args...)
}
