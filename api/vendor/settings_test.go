package vendor_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// What a user interface makes of the settings and sends back gives the same server.
func TestTheSettingsOfARestoreCanBeSentBack(t *testing.T) {
	h, id, _, _ := farm(t)
	h.Volume("23", 1000)
	place(h, stowage.ServerRecord{ProjectID: "demo", Name: "db", FlavorID: "f1", Ports: []stowage.ServerPort{{NetworkID: "n2", SecurityGroups: []string{"sg-2"}}},
		Disks: []stowage.ServerDisk{{VolumeID: "23", Device: "/dev/vda", Boot: true}}})
	_, _, backup := exported(h, id, "FULL")
	if err := h.Servers.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.Nova.Offer(stowage.ResourceNetwork, stowage.Resource{ID: "n2", Name: "mine", ProjectID: "demo"}) // not the one it was in, which he is not shown
	look(h)
	settings := func() any {
		return at(send(h, http.MethodGet, "/openstack/restore-settings?hvm-guid=openstack&cluster-guid=nova&backup-guid="+guidOf(backup), "", demo).JSON(t), "networkSection")
	}
	section := settings()
	s := at(section, "sourceNetworkWithSecurityGroups").([]any)[0]
	card := backup["networkInterfaceCards"].([]any)[0]
	group := at(s, "securityGroupsFromBackup").([]any)[0]
	if at(s, "guid") != at(card, "guid") || at(s, "name") != "fa:16:3e:00:00:01" || at(s, "defaultMacAddress") != "fa:16:3e:00:00:01" ||
		at(s, "defaultNetworkInternalId") != "n1" || at(group, "guid") != "sg-1" || at(group, "name") != "name of sg-1" && at(group, "name") != "sg-1" {
		t.Errorf("the source is %v", s)
	}
	if got := fmt.Sprint(at(section, "securityGroupsFromHypervisorManager")); !strings.Contains(got, "guid:sg-2 name:name of sg-2") {
		t.Errorf("the project's groups are %s", got)
	}
	for n, c := range []string{
		fmt.Sprintf(`{"guid":%q,"name":%q}`, at(s, "guid"), at(s, "name")), fmt.Sprintf(`{"name":%q}`, at(s, "name")), fmt.Sprintf(`{"guid":%q}`, at(s, "defaultMacAddress")),
	} {
		name := fmt.Sprint("again", n)
		body := fmt.Sprintf(`{"backup":{"guid":%[1]q},"backupLocation":{"guid":%[1]q,"backup":{"guid":%[1]q}},"restoredPeName":%[2]q,"restoredNetworks":[
			{"network":{"guid":%[3]q},"networkInterfaceCard":%[4]s,"macAddress":%[5]q,"macAddressSpecified":false,"securityGroups":[%[6]q]}]}`,
			guidOf(backup), name, at(s, "defaultNetworkInternalId"), c, at(s, "defaultMacAddress"), at(group, "guid"))
		a := send(h, http.MethodPost, "/tasks/restore-and-import", body, demo)
		if a.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", body, a.Status, a.Body)
		}
		awaitTask(h, guidOf(a.JSON(t)), "FINISHED")
		awaitTask(h, guidOf(one(t, send(h, http.MethodGet, "/tasks?type=IMPORT&parent-task="+guidOf(a.JSON(t)), "", demo))), "FINISHED")
		servers := h.Servers.List()
		made := slices.IndexFunc(servers, func(s stowage.ServerRecord) bool { return s.Name == name })
		if made < 0 {
			t.Fatalf("no server %s among %v", name, servers)
		}
		if p := servers[made].Ports; len(p) != 1 || p[0].NetworkID != "n1" || !slices.Equal(p[0].SecurityGroups, []string{"sg-1"}) || n == 0 && p[0].MAC != "fa:16:3e:00:00:01" {
			t.Errorf("%s has %+v", name, p)
		}
		h.Until("the backup can be restored again", func() bool { return restorable(h, guidOf(backup)) })
	}

	h.Servers.Before("SecurityGroups", func(string) error { return stowage.Errorf(stowage.Unavailable, "Neutron is away.") })
	if got := fmt.Sprint(at(settings(), "securityGroupsFromHypervisorManager")); got != "[map[guid:sg-1 name:sg-1 uuid:sg-1]]" {
		t.Errorf("without Neutron the groups are %s", got)
	}
}
