package vendor_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/internal/harness"
)

var portal = token("portal:ops")

// look has the cloud looked at, to the end.
func look(h *harness.Harness) {
	h.T.Helper()
	var a answer
	h.Until("a manager is heard of", func() bool { // after a step of the clock
		a = send(h, http.MethodPost, "/tasks/inventory-sync", `{"hypervisorManagers":[{"guid":"openstack"}]}`, portal)
		return a.Status != http.StatusServiceUnavailable
	})
	guid := at(one(h.T.(*testing.T), withTotal(a)), "guid").(string)
	h.Until("the look has ended", func() bool {
		t := send(h, http.MethodGet, "/tasks/"+guid, "", portal).JSON(h.T)
		if at(t, "state.name") == "FAILED" {
			h.T.Fatalf("the look failed: %v", t)
		}
		return at(t, "state.name") == "FINISHED"
	})
}

// withTotal is for answers to a POST, which have an array and no pages.
func withTotal(a answer) answer { a.Header.Set("X-Total-Count", "999"); return a }

// clouded has a manager, a server of demo's with the volume 9 as its disk, and
// the volume 10, which stands alone.
func clouded(t *testing.T) *harness.Harness {
	t.Helper()
	h, _ := managed(t)
	return h
}

// managed is clouded, with what stops the manager.
func managed(t *testing.T) (h *harness.Harness, stop func()) {
	t.Helper()
	h = harness.New(t)
	stop = h.Start(h.Manager("m1"))
	h.Volume("9", 1000)
	h.Volume("10", 1000)
	h.Nova.Change(func(v *cloud.Volume) {
		v.ProjectID, v.Name = "demo", "vol-"+v.ID
		if v.ID == "9" {
			v.ServerID, v.Device, v.Bootable = "srv-1", "/dev/vda", true
		}
	})
	h.Nova.Offer(stowage.ResourceFlavor, stowage.Resource{ID: "f1", Name: "m1.small", Shared: true})
	h.Nova.Offer(stowage.ResourceNetwork, stowage.Resource{ID: "n1", Name: "public", Shared: true},
		stowage.Resource{ID: "n2", Name: "mine", ProjectID: "demo"}, stowage.Resource{ID: "n3", Name: "theirs", ProjectID: "alt"})
	h.Nova.Offer(stowage.ResourceProject, stowage.Resource{ID: "demo", Name: "Demo", ProjectID: "demo"}, stowage.Resource{ID: "alt", Name: "Alt", ProjectID: "alt"})
	h.Nova.Set(cloud.Server{
		ID: "srv-1", ProjectID: "demo", Name: "web", Status: "ACTIVE", Zone: "nova", Host: "compute-1", FlavorID: "f1", Tags: []string{"gold"},
		Networks: []stowage.EntityNetwork{{Name: "public", Addresses: []string{"192.0.2.7"}, MAC: "fa:16:3e:00:00:01"}}, Volumes: []string{"9"},
	}, h.Clock.Now())
	h.Nova.Set(cloud.Server{ID: "srv-2", ProjectID: "alt", Name: "db", Status: "SHUTOFF"}, h.Clock.Now())
	look(h)
	return h, stop
}

func names(list []map[string]any) (out []string) {
	for _, v := range list {
		out = append(out, v["name"].(string))
	}
	return out
}

func TestTheInventoryShowsServersAndStandAloneVolumes(t *testing.T) {
	h := clouded(t)
	for path, want := range map[string][]string{
		"/virtual-machines":                                                 {"vol-10", "web"},
		"/virtual-machines?page=1&size=1":                                   {"web"},
		"/virtual-machines?orderBy=name&direction=desc":                     {"web", "vol-10"},
		"/virtual-machines?filter=WEB":                                      {"web"},
		"/virtual-machines?filter=gold":                                     {"web"},
		"/virtual-machines?filter=srv-1":                                    {"web"},
		"/virtual-machines?filter=compute-1":                                nil, // the operator's business
		"/virtual-machines?uuid=srv-1&hypervisor-manager-type=OPENSTACK":    {"web"},
		"/virtual-machines?hypervisor-manager-type=RHV":                     nil,
		"/virtual-machines?uuid=srv-2":                                      nil,
		"/virtual-machines?present=false":                                   nil,
		"/virtual-machines?nameLike=vol":                                    {"vol-10"},
		"/virtual-machine-disks?virtual-machine=srv-1":                      {"vol-9"},
		"/virtual-machine-disks?virtual-machine=10":                         {"vol-10"},
		"/virtual-machine-flavors?hypervisor-manager=openstack":             {"m1.small"},
		"/virtual-machine-flavors?hypervisor-manager=other":                 nil,
		"/network?hypervisor-manager=openstack":                             {"mine", "public"},
		"/network/shared":                                                   {"public"},
		"/projects":                                                         {"Demo"},
		"/virtual-machines?tenantid=demo&showLoader=true&backupStatus=null": {"vol-10", "web"},
	} {
		if got := names(rows(t, send(h, http.MethodGet, path, "", demo))); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if got := names(rows(t, send(h, http.MethodGet, "/virtual-machines?filter=compute-1", "", portal))); !slices.Equal(got, []string{"web"}) {
		t.Errorf("on the host the portal finds %v", got)
	}
	if got := names(rows(t, send(h, http.MethodGet, "/virtual-machines", "", portal))); !slices.Equal(got, []string{"db", "vol-10", "web"}) {
		t.Errorf("the portal sees %v", got)
	}
	vm := send(h, http.MethodGet, "/virtual-machines/srv-1", "", portal).JSON(t)
	for path, want := range map[string]any{
		"uuid": "srv-1", "present": true, "hvManager.guid": "openstack", "hvmType.name": "OPENSTACK", "hypervisor.name": "compute-1",
		"vmFlavor.name": "m1.small", "hvCluster.guid": "nova", "project.guid": "demo", "project.name": "Demo", "lastSuccessfulBackupSize": 0.0,
	} {
		if got := at(vm, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if _, there := vm["backupUpToDate"]; there {
		t.Error("without a schedule nothing is up to date or not")
	}
	if seen := send(h, http.MethodGet, "/virtual-machines/srv-1", "", demo).JSON(t); at(seen, "hypervisor") != nil {
		t.Error("a tenant is told the compute host")
	}
	wantFault(t, send(h, http.MethodGet, "/virtual-machines/srv-2", "", demo), http.StatusNotFound, "")
	wantFault(t, send(h, http.MethodGet, "/virtual-machine-disks?virtual-machine=srv-2", "", demo), http.StatusNotFound, "")
	wantFault(t, send(h, http.MethodPost, "/tasks/inventory-sync", "", demo), http.StatusForbidden, "Policy")
}

func TestServersAreAskedForByWhatChanged(t *testing.T) {
	h := clouded(t)
	h.Clock.Step(time.Hour)
	h.Nova.Set(cloud.Server{ID: "srv-1", ProjectID: "demo", Name: "web-renamed", Status: "ACTIVE"}, h.Clock.Now())
	h.Nova.Set(cloud.Server{ID: "srv-2", ProjectID: "alt", Name: "db", Deleted: true, Status: "DELETED"}, h.Clock.Now())
	h.Nova.Set(cloud.Server{ID: "srv-3", ProjectID: "demo", Name: "old", Status: "ACTIVE"}, h.Clock.Now().Add(-2*time.Hour))
	look(h)
	asked := h.Nova.Asked()
	if len(asked) != 2 || !asked[0].IsZero() || asked[1].IsZero() || h.Clock.Now().Sub(asked[1]) > 66*time.Minute {
		t.Errorf("asked for changes since %v", asked)
	}
	got := rows(t, send(h, http.MethodGet, "/virtual-machines", "", portal))
	if !slices.Equal(names(got), []string{"db", "vol-10", "web-renamed"}) || got[0]["present"] != false {
		t.Errorf("it shows %v", got)
	}
	// Nova forgets for good what was deleted; a look at all a day finds out, too.
	h.Clock.Step(25 * time.Hour)
	h.Nova.Purge("srv-1")
	look(h)
	got = rows(t, send(h, http.MethodGet, "/virtual-machines?present=false", "", portal))
	if !slices.Equal(names(got), []string{"db", "web-renamed"}) {
		t.Errorf("gone are %v", names(got))
	}
	if a := send(h, http.MethodDelete, "/virtual-machines/all-non-present", "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	got = rows(t, send(h, http.MethodGet, "/virtual-machines", "", portal))
	if !slices.Equal(names(got), []string{"db", "old", "vol-10"}) {
		t.Errorf("left are %v", names(got))
	}
}

func TestVolumesThatAreGoneStayAsLongAsTheyHaveBackups(t *testing.T) {
	h := clouded(t)
	h.Nova.Change(nil) // standalone's: nobody's, so everybody's
	h.Volume("11", 300_000)
	h.Volume("12", 1000)
	look(h)
	if got := names(rows(t, send(h, http.MethodGet, "/virtual-machines?filter=1", "", demo))); !slices.Contains(got, "11") || !slices.Contains(got, "12") {
		t.Errorf("it shows %v", got)
	}
	h.Await(h.Create("11"), stowage.BackupAvailable)
	h.Until("it is free", func() bool { return h.VolumeStatus("11") == stowage.VolumeAvailable })
	vm := send(h, http.MethodGet, "/virtual-machines/11", "", demo).JSON(t)
	if at(vm, "lastSuccessfulBackupSize").(float64) <= 0 || at(vm, "lastSuccessfulFullBackup.name") == nil || at(vm, "restorable") != true {
		t.Errorf("it shows %v", vm)
	}
	other := send(h, http.MethodGet, "/virtual-machines/11", "", token("x:alt")).JSON(t)
	if at(other, "lastSuccessfulBackupSize") != 0.0 {
		t.Errorf("another project is told of the backup: %v", other)
	}
	for _, id := range []string{"11", "12"} {
		if err := os.Remove(h.VolumeFile(id)); err != nil {
			t.Fatal(err)
		}
	}
	look(h)
	if vm := send(h, http.MethodGet, "/virtual-machines/11", "", demo).JSON(t); at(vm, "present") != false {
		t.Errorf("it shows %v", vm)
	}
	wantFault(t, send(h, http.MethodGet, "/virtual-machines/12", "", demo), http.StatusNotFound, "")
	if a := send(h, http.MethodDelete, "/virtual-machines/all-non-present", "", portal); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if vm := send(h, http.MethodGet, "/virtual-machines/11", "", demo); vm.Status != http.StatusOK {
		t.Error("it was forgotten with its backups")
	}
	// A disk with backups of its own stands for itself, too.
	h.Volume("11", 300_000)
	h.Nova.Change(func(v *cloud.Volume) {
		if v.ID == "11" {
			v.ServerID = "srv-1"
		}
	})
	look(h)
	if got := names(rows(t, send(h, http.MethodGet, "/virtual-machines?uuid=11", "", demo))); !slices.Equal(got, []string{"11"}) {
		t.Errorf("it shows %v", got)
	}
}

func TestDestinationsAreTheProjectsContainers(t *testing.T) {
	h := clouded(t)
	usable := func(who func(*http.Request), body string) answer {
		return withTotal(send(h, http.MethodPost, "/backup-destinations/usable-for-vms", body, who))
	}
	for _, body := range []string{`[{"name":"","guid":"srv-1"}]`, `["10"]`, `[{"guid":"10","policy":{"x":1}},{"guid":"srv-1"}]`} {
		if got := one(t, usable(demo, body)); got["guid"] != "demo:volumebackups" || got["name"] != "volumebackups" {
			t.Errorf("%s: %v", body, got)
		}
	}
	if got := one(t, usable(portal, `[{"guid":"srv-2"}]`)); got["guid"] != "alt:volumebackups" {
		t.Errorf("for the portal: %v", got)
	}
	if got := rows(t, usable(portal, `["srv-1","srv-2"]`)); len(got) != 0 {
		t.Errorf("two projects have %v in common", got)
	}
	wantFault(t, usable(demo, `["10","srv-2"]`), http.StatusNotFound, "srv-2")
	if got := one(t, usable(demo, `["10"`+strings.Repeat(`,"10"`, 25_000)+`]`)); guidOf(got) != "demo:volumebackups" {
		t.Errorf("named often: %v", got)
	}
	wantFault(t, usable(demo, `{`), http.StatusBadRequest, "array")
}

// A Nova that is away makes the look late, and nothing gone.
func TestALookThatFailsIsDoneAgainAndForgetsNothing(t *testing.T) {
	h := clouded(t)
	h.Nova.Fail(stowage.Errorf(stowage.Unavailable, "The compute service is away."))
	h.Clock.Step(25 * time.Hour) // it would list all servers
	h.Until("a look is under way", func() bool {
		return send(h, http.MethodPost, "/tasks/inventory-sync", "", portal).Status == http.StatusOK
	})
	h.Until("Nova was asked in vain", func() bool { return len(h.Nova.Asked()) > 1 })
	if got := names(rows(t, send(h, http.MethodGet, "/virtual-machines?present=true", "", portal))); len(got) != 3 {
		t.Errorf("it shows %v", got)
	}
	h.Nova.Fail(nil)
	look(h)
	if got := names(rows(t, send(h, http.MethodGet, "/virtual-machines?present=true", "", portal))); len(got) != 3 {
		t.Errorf("it shows %v", got)
	}
}

// Two managers may look at once: both find the same, and neither has failed.
func TestLooksBesideOneAnotherAllEnd(t *testing.T) {
	h := clouded(t)
	h.Start(h.Manager("m2"))
	for _, hours := range []time.Duration{1, 25} { // at what changed, and at all
		h.Clock.Step(hours * time.Hour)
		h.Nova.Crowd(2)
		h.Until("two are under way", func() bool {
			send(h, http.MethodPost, "/tasks/inventory-sync", "", portal) // while one waits, that one
			return h.Nova.Crowded()
		})
		h.Until("they have ended", func() bool {
			for _, task := range rows(t, send(h, http.MethodGet, "/tasks?type=INVENTORY_SYNC", "", portal)) {
				switch state := at(task, "state.name"); state {
				case "FINISHED":
				case "FAILED", "CANCELLED":
					t.Fatalf("a look has ended as %v: %v", state, task)
				default:
					return false
				}
			}
			return true
		})
	}
	if got := names(rows(t, send(h, http.MethodGet, "/virtual-machines?present=true", "", portal))); len(got) != 3 {
		t.Errorf("it shows %v", got)
	}
}

func TestManyMayAskForALookAtOnce(t *testing.T) {
	h := clouded(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if a := send(h, http.MethodPost, "/tasks/inventory-sync", "", portal); a.Status != http.StatusOK {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	all.Wait()
}

// Compute hosts are the operator's business.
func TestHypervisorsAreTheHostsOfServers(t *testing.T) {
	h := clouded(t)
	one := one(t, send(h, http.MethodGet, "/hypervisors", "", portal))
	if one["host"] != "compute-1" || one["vmCount"] != 1.0 || at(one, "cluster.name") != "nova" {
		t.Errorf("it is %v", one)
	}
	if got := send(h, http.MethodGet, "/hypervisors/compute-1", "", portal).JSON(t); at(got, "type.name") != "KVM" {
		t.Errorf("it is %v", got)
	}
	if got := rows(t, send(h, http.MethodGet, "/hypervisors", "", demo)); len(got) != 0 {
		t.Errorf("a tenant sees %v", got)
	}
	wantFault(t, send(h, http.MethodGet, "/hypervisors/compute-1", "", demo), http.StatusNotFound, "could not be found")
}

// Nova leaves the servers of a cell that is down out of its list, and says nothing of it.
func TestWhatAListLacksIsGoneOnlyWhenItIsAskedFor(t *testing.T) {
	h := clouded(t)
	present := func() []string {
		return names(rows(t, send(h, http.MethodGet, "/virtual-machines?present=true", "", portal)))
	}
	look(h)
	if got := h.Nova.AskedFor(); len(got) != 0 {
		t.Errorf("a list that lacks nothing has %v asked for", got)
	}
	// One is there, of the others nobody knows.
	h.Clock.Step(25 * time.Hour)
	h.Nova.LeaveOut(nil, "srv-1")
	look(h)
	if got := present(); !slices.Equal(got, []string{"db", "vol-10", "web"}) {
		t.Errorf("present are %v", got)
	}
	h.Clock.Step(25 * time.Hour)
	h.Nova.LeaveOut(stowage.Errorf(stowage.Unavailable, "The compute service is temporarily unavailable."), "srv-1", "srv-2", "10")
	look(h)
	if got := present(); !slices.Equal(got, []string{"db", "vol-10", "web"}) {
		t.Errorf("present are %v", got)
	}
	var info string
	for _, task := range rows(t, send(h, http.MethodGet, "/tasks?type=INVENTORY_SYNC", "", portal)) {
		info += fmt.Sprintln(task["statusInfo"])
	}
	if !strings.Contains(info, "all servers lacks 2") || !strings.Contains(info, "all volumes lacks 1") {
		t.Errorf("the look says %q", info)
	}
	// Gone is what is not there; and it is not asked for again.
	h.Clock.Step(25 * time.Hour)
	h.Nova.LeaveOut(nil)
	h.Nova.Purge("srv-1")
	look(h)
	if got := present(); !slices.Equal(got, []string{"db", "vol-10"}) {
		t.Errorf("present are %v", got)
	}
	before := h.Nova.AskedFor()
	h.Clock.Step(25 * time.Hour)
	look(h)
	if got := h.Nova.AskedFor(); !slices.Equal(got, before) {
		t.Errorf("asked again for %v", got[len(before):])
	}
}

// When a whole cell is down, Nova takes long to say so of each of its servers.
func TestALookDoesNotAskForEveryServerOfACellThatIsDown(t *testing.T) {
	h := clouded(t)
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprint("srv-", 100+i))
		h.Nova.Set(cloud.Server{ID: ids[i], ProjectID: "demo", Name: ids[i], Status: "ACTIVE"}, h.Clock.Now())
	}
	look(h)
	h.Clock.Step(25 * time.Hour)
	h.Nova.LeaveOut(stowage.Errorf(stowage.Unavailable, "The compute service is temporarily unavailable."), ids...)
	look(h)
	if got := len(h.Nova.AskedFor()); got < 20 || got > 30 {
		t.Errorf("asked for %d", got)
	}
	if got := len(rows(t, send(h, http.MethodGet, "/virtual-machines?present=true&size=500", "", portal))); got != 103 {
		t.Errorf("%d are present", got)
	}
}
