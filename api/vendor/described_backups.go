package vendor

var (
	locationWords = wordsOfMap(locationStatuses)
	// historyAsks are those of historyFilter.
	historyAsks = []ask{
		{names: "protected-entity protectedEntity virtual-machine", text: "Only of these, by their guids. Without it, and without `backup`, volumes' backups that are part of a server's are left out.", many: true},
		{names: "backup", text: "Only this one."},
		{names: "status location-status", text: "Only in one of these states, of backups or of locations.", words: append([]string{"QUEUED", "INPROGRESS", "SUCCESS", "SUCCESS_REMOVED"}, locationWords...), many: true},
		{names: "from", text: "Only of this time or later, in milliseconds."}, {names: "to", text: "Only of this time or earlier, in milliseconds."},
		{names: "type", text: "Only of one of these types.", words: backupTypes, many: true},
		{names: "min-size", text: "Only what stored so many bytes at least."},
		{names: "backup-destination", text: "Only in this destination."}, {names: "node", text: "Only what this manager stored, and servers whose snapshots it took; of the integration account."},
		{names: "schedule", text: "Only what this schedule made."}, {names: "backup-policy", text: "Only what these policies made.", many: true}, {names: "backup-rule", text: "Only what this rule made."},
		{names: "protected-entity-type", text: "`VM`; any other finds nothing."},
		managerAsk,
		{names: "parent-backup", text: "Finds nothing: a backup needs no other."}, {names: "root-backup", text: "Finds nothing: a backup needs no other."},
		{names: "hypervisor", text: "Finds nothing."}, {names: "only-mountable", text: "`true` leaves out what cannot be mounted."},
	}
	settingAsks = []ask{
		{names: "backup-guid", text: "The backup.", need: true},
		{names: "hvm-guid", text: noEffect}, {names: "project-guid", text: noEffect}, {names: "cluster-guid", text: noEffect},
	}
	fileAsk = ask{names: "backup", text: "The backup.", need: true}
)

const backupText = "its name, description, container or ids"

func historyTold(is string, gives any) told {
	return told{is: is, asks: historyAsks, paged: true, byName: true, finds: backupText, orders: backupColumns, gives: gives}
}

func filesTold(more string) told {
	return told{is: "Lists the volumes in a backup", more: more, asks: []ask{fileAsk, {names: "with-modified-configs", text: noEffect}}, gives: []backupFile{}, also: []int{400, 404}}
}

func settingsTold(more string) told {
	return told{is: "Tells what a restore can choose for network interfaces", more: more, asks: settingAsks, gives: restoreSettings{}}
}

var backupsTold = group{"backups", "Backups of volumes and of servers, the newest first; where they are, and how long they stay.", map[string]told{
	"GET /backups":                                        historyTold("Lists backups", []backup{}),
	"GET /backups/{guid}":                                 {is: "Shows a backup", gives: backup{}},
	"PUT /backups/{guid}/description":                     {is: "Describes a backup", sends: textBody{}, example: `{"value":"before the upgrade"}`, gives: backup{}},
	"PUT /backups/{guid}/warnings-acknowledged":           {is: "Notes that its warnings were seen", sends: truthBody{}, example: `{"value":true}`, gives: backup{}},
	"GET /backup-locations":                               historyTold("Lists where backups are", []location{}),
	"GET /backup-locations/for-restore":                   historyTold("Lists where backups are that can be restored", []location{}),
	"GET /backup-files":                                   filesTold(""),
	"GET /backup-files/detailed":                          filesTold("The same as without `detailed`."),
	"GET /backup-files/detailed/for-restore":              filesTold("The same as without `detailed`."),
	"POST /retention/mark-backups":                        {is: "Says of backups how long they stay", more: "A location stands for its backup.", sends: several[markBody]{}, example: `[{"guid":"...","retentionHint":"DONT_TOUCH"}]`, gives: []markView{}},
	"POST /retention/mark-backups/preview":                {is: "Tells what saying so would change", sends: several[markBody]{}, example: `[{"guid":"...","retentionHint":"DONT_TOUCH"}]`, gives: []markView{}},
	"GET /openstack/restore-settings":                     settingsTold(""),
	"GET /openstack/restore-settings/project-restriction": settingsTold("The same as without `project-restriction`."),
}}
