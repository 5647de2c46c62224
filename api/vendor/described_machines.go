package vendor

// machineAsks are those of entityFilter.
var machineAsks = []ask{
	{names: "uuid guid virtual-machine protected-entity", text: "Only these, by their ids.", many: true},
	{names: "present", text: "Only what is in the cloud still, or only what is not.", words: []string{"TRUE", "FALSE"}},
	{names: "hypervisor-manager-type", text: "`OPENSTACK`; any other finds nothing."},
	managerAsk,
	{names: "backup-policy vmBackupPolicy", text: "Only what these policies protect, by their guids.", many: true},
	{names: "backupStatus backup-status", text: "Whether there is a backup, or a schedule at least.", words: []string{"IS_PROTECTED", "NOT_PROTECTED", "NO_SCHEDULE"}},
}

var managerAsk = ask{names: "hypervisor-manager", text: "`openstack`, the one there is; any other finds nothing."}

// noEffect is said of what clients send and nothing here needs.
const noEffect = "Without effect."

const machineText = "its name, ids, zone, flavor, volume type or tags, or, of the integration account, its host"

var diskAsk = ask{names: "virtual-machine protected-entity", text: "The machine.", need: true}

// snapshotAsks are those of a list of snapshots.
var snapshotAsks = []ask{
	{names: "protected-entity virtual-machine", text: "Only of these entities.", many: true},
	{names: "snapshot-policy policy", text: "Only by these policies.", many: true},
	{names: "stand-alone", text: "All of them stand alone: `FALSE` finds none.", words: []string{"TRUE", "FALSE"}},
}

var machinesTold = group{"virtual machines", "Protected entities: servers, and volumes that stand alone.", map[string]told{
	"GET /virtual-machines":          {is: "Lists servers and stand-alone volumes", asks: machineAsks, paged: true, byName: true, finds: machineText, orders: machineColumns, gives: []machine{}},
	"GET /virtual-machines/detailed": {is: "Lists servers and stand-alone volumes", more: "The same as without `detailed`.", asks: machineAsks, paged: true, byName: true, finds: machineText, orders: machineColumns, gives: []machine{}},
	"GET /virtual-machines/{guid}":   {is: "Shows one", gives: machine{}},
	"PUT /virtual-machines/{guid}/settings": {
		is: "Puts it under policies, or under none", more: "Takes the whole object back. What changes is `vmBackupPolicy`, and `snapshotMgmtPolicy` if it is there, be it `null`. " +
			"Without `vmBackupPolicy` it has no policy of backups any more, unless nothing but `snapshotMgmtPolicy` is sent.",
		sends: machineBody{}, example: `{"vmBackupPolicy":{"guid":"..."},"snapshotMgmtPolicy":{"guid":"..."}}`, gives: machine{},
	},
	"DELETE /virtual-machines/all-non-present":        {is: "Forgets what is gone from the cloud and has no backups"},
	"POST /virtual-machines/incremental-not-possible": {is: "Tells of what no increment can be made"},
	"GET /virtual-machine-disks":                      {is: "Lists the volumes of a server", asks: []ask{diskAsk}, gives: []disk{}, also: []int{400, 404}},
	"PUT /virtual-machine-disks/{guid}/settings":      {is: "Leaves a volume out of backups of its server, or not", more: "Takes the whole object back. What changes is `excludedFromBackup`.", sends: diskBody{}, example: `{"excludedFromBackup":true}`, gives: disk{}},
	"GET /snapshots": {
		is: "Lists snapshots that Cinder keeps in the project, the newest first", more: "Those that were taken by the service, for policies of snapshots or because somebody asked.",
		asks: snapshotAsks, paged: true, orders: snapshotColumns, gives: []snapshot{},
	},
	"GET /credential": {is: "Lists credentials"},
}}
