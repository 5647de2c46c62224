package embedded_test

import (
	"testing"

	"github.com/stowage/stowage/cloud/cloudtest"
	"github.com/stowage/stowage/cloud/embedded"
	"github.com/stowage/stowage/drivers/file"
)

func TestServersSuite(t *testing.T) {
	dir := t.TempDir()
	volumes := open(t, dir)
	servers := embedded.NewServers(volumes)
	files, err := file.Open(file.Options{Key: "file:test", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	servers.Snapshots = files
	cloudtest.Servers(t, cloudtest.ServersFixture{
		Servers: servers, FlavorID: "m1.tiny", NetworkID: "n1", Address: "10.20.0.77", MAC: "fa:16:3e:00:00:77",
		Cinder: cloudtest.VolumesFixture{
			Volumes: volumes, Owner: demo, Stranger: alt, Remove: func(t *testing.T, id string) { remove(t, dir, id) },
		},
		Delete: func(t *testing.T, id string) {
			if err := servers.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		},
	})
}
