package vendor

var (
	// mountAsks are those of a list of mounted backups.
	mountAsks = []ask{
		{names: "finished-mount", text: "`true`: those that are over. Otherwise those that are served, or about to be."},
		{names: "backup", text: "Only of this backup."},
		{names: "protected-entity protectedEntity virtual-machine", text: "Only of backups of these, by their guids.", many: true},
		{names: "node", text: "Only what this manager serves."},
		{names: "mode", text: "Only in one of these modes.", words: mountModes, many: true},
	}
	mountableAsk = ask{names: "backup", text: "The backup.", need: true}
	mountedAsk   = ask{names: "mounted-backup", text: "The mounted backup.", need: true}
)

const (
	mountExample   = `{"backupLocation":{"guid":"..."},"mode":{"name":"AUTO"}}`
	mountedExample = `{"mountedBackup":{"guid":"..."}}`
)

var mountsTold = group{"mounts", "Backups that can be looked into without a restore. A mount ends with its time, or with the manager that serves it.", map[string]told{
	"GET /file-systems": {
		is: "Lists the file systems in a backup", more: "As they were found when it was mounted last. Before, there are none: nothing is read for it.",
		asks: []ask{mountableAsk}, gives: []fileSystem{}, also: []int{400, 404},
	},
	"POST /tasks/restore-and-mount": {is: "Begins to serve the files of a backup", sends: mountBody{}, example: mountExample, gives: mountTask{}},
	"POST /tasks/mount":             {is: "Begins to serve once more what was mounted before", sends: mountedBody{}, example: mountedExample, gives: mountTask{}},
	"POST /tasks/unmount":           {is: "Ends a mount, or takes back one that is not there yet", sends: mountedBody{}, example: mountedExample, gives: mountTask{}},
	"GET /mounted-backups": {
		is: "Lists mounted backups, the newest first", more: "Those that are over stay for 30 days.", asks: mountAsks, paged: true, byName: true, finds: "the backup's name; or its guid, or that of what it is of",
		orders: mountColumns, gives: []mountedBackup{},
	},
	"GET /mounted-backups/{guid}":        {is: "Shows a mounted backup", gives: mountedBackup{}},
	"GET /mounted-file-systems/detailed": {is: "Lists the file systems that are mounted", asks: []ask{mountedAsk}, gives: []mountedFileSystem{}, also: []int{400, 404}},
	"GET /mounted-files":                 {is: "Lists the disks that are mounted: one", asks: []ask{mountedAsk}, gives: []mountedFile{}, also: []int{400, 404}},
	"POST /mounted-file-systems/{guid}/listing": {
		is: "Lists a directory by name", more: "10000 entries at most; the header tells how many there are. The guid is that of the file system.",
		sends: listingBody{}, may: true, example: `{"path":"/etc"}`, gives: []listedFile{},
	},
	"POST /mounted-file-systems/{guid}/download": {
		is: "Downloads files", more: "One file as it is; several, or a directory, as a ZIP. Should something not be readable, the connection is cut: what came is not whole. The guid is that of the file system.",
		sends: downloadBody{}, example: `{"paths":["/etc/hosts"]}`, file: []string{"application/octet-stream", "application/zip"},
	},
}}
