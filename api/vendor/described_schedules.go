package vendor

// scheduleAsks are those of a list of schedules.
var scheduleAsks = []ask{
	{names: "guid", text: "Only these.", many: true},
	{names: "rules rule", text: "Only those that these rules name.", many: true},
	{names: "policy backup-policy snapshot-policy", text: "Only those that carry out these policies.", many: true},
	{names: "protected-entity virtual-machine", text: "Only those of policies of these entities.", many: true},
	{names: "type", text: "Only of this type.", words: []string{"VM_BACKUP", "VM_SNAPSHOT", "SNAPSHOT"}, many: true},
}

const scheduleExample = `{"name":"nightly","backupType":"INCREMENTAL","executionType":"TIME","hour":7200000,"startWindowLength":3600000,"rules":["..."]}`

var schedulesTold = group{"schedules", "When policies are carried out. All hours are UTC.", map[string]told{
	"GET /schedules":           {is: "Lists schedules", asks: scheduleAsks, paged: true, byName: true, finds: "its name, or its guid", orders: scheduleColumns, gives: []scheduleView{}},
	"POST /schedules":          {is: "Makes a schedule", sends: scheduleBody{}, example: scheduleExample, gives: scheduleView{}},
	"GET /schedules/{guid}":    {is: "Shows a schedule", gives: scheduleView{}},
	"PUT /schedules/{guid}":    {is: "Changes a schedule", sends: scheduleBody{}, example: scheduleExample, gives: scheduleView{}},
	"DELETE /schedules/{guid}": {is: "Deletes a schedule"},
	"GET /schedules/{guid}/runs": {
		is: "Lists how runs of a schedule went, the newest first", more: "For 90 days, 100 a page at most. The path is our own.", paged: true, gives: []runView{}, also: []int{404},
	},
}}
