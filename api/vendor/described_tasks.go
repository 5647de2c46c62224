package vendor

// taskAsks are those of taskFilter.
var taskAsks = []ask{
	{names: "protected-entity protectedEntity virtual-machine", text: "Only about these, by their guids.", many: true},
	{names: "state states", text: "Only in one of these states.", words: stateWords, many: true},
	{names: "type types", text: "Only of one of these types, or of one that was called so before.", words: typeWords, many: true},
	{names: "backup", text: "Only about this backup."},
	{names: "workflow-execution", text: "Only this job, and those that follow it."},
	{names: "parent-task parentTask", text: "Only those that follow this one."},
	{names: "restore-job", text: "Only this one."},
	{names: "node", text: "Only what this manager works on, or did last; of the integration account."},
	{names: "backup-destination backupDestination", text: "Only about backups in this destination."},
	{names: "from", text: "Only what was asked for at this time or later, in milliseconds."},
	{names: "to", text: "Only what was asked for at this time or earlier, in milliseconds."},
	{names: "schedule", text: "Only what this schedule made."}, {names: "backup-policy snapshot-policy", text: "Only what this policy made."}, {names: "backup-rule snapshot-rule", text: "Only what this rule made."},
	managerAsk,
	{names: "hypervisor", text: "Finds nothing."}, {names: "mounted-backup-assigned", text: "Finds nothing."},
}

const taskText = "its state or type, by name or description, or the name of what it is about; or its guid, or that of what it is about"

const restoreMore = "Clients name the original as `dstProtectedEntity` of every restore, so only `overwrite` writes to it."

var snapshotTold = told{
	is: "Begins snapshots that stay in the project: a task for each entity",
	more: "With a rule of a policy of snapshots, that policy removes them one day as it does its own; without one nobody does. " +
		"Everything that can be told is checked before the first begins.",
	sends: snapshotsBody{}, example: `{"protectedEntities":[{"guid":"..."}],"rule":{"guid":"..."},"priority":50}`, gives: []task{},
}

var tasksTold = group{"tasks", "What was asked for, the newest first: backups, snapshots, restores, mounts and deletions.", map[string]told{
	"GET /tasks":        {is: "Lists tasks", asks: taskAsks, paged: true, byName: true, finds: taskText, orders: taskColumns, gives: []task{}},
	"GET /tasks/{guid}": {is: "Shows a task", gives: task{}},
	"PUT /tasks/{guid}/state": {
		is: "Cancels a task", more: "One that nobody has begun ends at once, one under way within seconds. Deletions are not cancelled.",
		sends: stateBody{}, example: `{"state":{"name":"CANCELLED"}}`, gives: task{},
	},
	"DELETE /tasks/{guid}":                  {is: "Takes a task that has ended off the list, and cancels any other"},
	"DELETE /tasks/all-finished":            {is: "Takes all tasks that have ended off the list"},
	"DELETE /tasks/all-finished-and-queued": {is: "Cancels all that wait, and takes all that have ended off the list"},
	"DELETE /tasks/all-running":             {is: "Cancels all that run"},
	"POST /tasks/export": {
		is: "Begins backups: a task for each entity", more: "Everything that can be told is checked before the first begins. If a later one fails all the same, the error tells how many had begun.",
		sends: exportBody{}, example: `{"protectedEntities":[{"guid":"..."}],"backupType":"FULL"}`, gives: []task{},
	},
	"POST /tasks/vm-snapshot": snapshotTold, "POST /tasks/snapshot": snapshotTold,
	"POST /tasks/restore": {
		is: "Begins a restore of volumes", more: restoreMore, sends: restoreBody{}, example: `{"backup":"...","restoredPeName":"again"}`, gives: task{},
	},
	"POST /tasks/restore-and-import": {
		is: "Begins to build a server again", more: "Its volumes first, and then the server, as it was or as the request says. Of a volume's backup it is the same as `restore`.\n\n" + restoreMore,
		sends: restoreBody{}, example: `{"backup":"...","restoredPeName":"again"}`, gives: task{},
	},
	"POST /tasks/delete":                 {is: "Begins to delete all backups of an entity: a task for each, or none", sends: entityBody{}, example: `{"value":"..."}`, gives: []task{}},
	"GET /workflow-executions":           {is: "Lists jobs with those that follow them", asks: taskAsks, paged: true, byName: true, finds: taskText, orders: taskColumns, gives: []execution{}},
	"DELETE /workflow-executions/{guid}": {is: "Takes what has ended of a workflow off the list", more: "The rest of it goes on."},
	"GET /restore-jobs": {
		is: "Lists restores", asks: append([]ask{{names: "status", text: "Only in one of these states.", words: wordsOfMap(restoreStates), many: true}}, taskAsks...),
		paged: true, byName: true, finds: taskText, orders: restoreColumns, gives: []restoreJob{},
	},
}}
