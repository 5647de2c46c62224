package config

import "time"

// Backend is the section of one of enabled_backends. The names are Cinder's
// where Cinder has such an option.
type Backend struct {
	Name string // of the section

	VolumeDriver string   `name:"volume_driver" choices:"rbd,lvm,file" sample:"rbd" help:"What the volumes live on. Must be set."`
	CinderHosts  []string `name:"cinder_hosts" sample:"controller@ceph-1" help:"Cinder's names of this backend, host@backend or host@backend#pool: volumes on them are backed up here."`

	RBDPool        string        `name:"rbd_pool" sample:"volumes" help:"rbd: pool of the volumes. Must be set."`
	RBDUser        string        `name:"rbd_user" sample:"stowage" help:"rbd: Ceph user, without \"client.\". Must be set."`
	CephConf       string        `name:"rbd_ceph_conf" default:"/etc/ceph/ceph.conf" help:"rbd: Ceph's configuration file."`
	Keyring        string        `name:"rbd_keyring" help:"rbd: keyring file of the user. Empty: as Ceph's configuration says."`
	ConnectTimeout time.Duration `name:"rados_connect_timeout" default:"-1" min:"-1" help:"rbd: seconds to wait for the cluster; -1: as Ceph's configuration says."`

	VolumeGroup     string `name:"volume_group" help:"lvm: volume group of the volumes. Must be set."`
	LVMHost         string `name:"lvm_host" sample:"<your_hostname>" help:"lvm: this host as Cinder reports it in its pools' location_info. Empty: the name of this host."`
	SnapshotPercent int    `name:"lvm_snapshot_percent" default:"20" min:"1" max:"100" help:"lvm: space for the snapshot of a thick volume, in percent of the volume's size."`
	SnapshotMin     int    `name:"lvm_snapshot_min" default:"1" min:"1" help:"lvm: GiB that the snapshot of a thick volume gets at least."`
	SnapshotMax     int    `name:"lvm_snapshot_max" default:"0" min:"0" help:"lvm: GiB that the snapshot of a thick volume gets at most; 0: no limit."`
	VolumesDir      string `name:"volumes_dir" help:"file: directory of the volumes. Must be set."`
}
