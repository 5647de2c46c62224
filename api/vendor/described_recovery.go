package vendor

const (
	planExample = `{"name":"site","rules":[{"name":"databases","vms":["..."],"namePrefix":"dr-","check":{"type":"CONSOLE","text":"login:","timeout":300000}}]}`
	stepExample = `{"name":"databases","policy":"...","vms":["..."]}`
)

var planAsk = ask{names: "policy rule", text: "The plan.", need: true}

var recoveryTold = group{"recovery plans", "In which order servers are restored from their newest backups. Where the vendor's forms are not public these are our own.", map[string]told{
	"GET /policies/recovery-plan":             {is: "Lists plans", paged: true, byName: true, finds: "its name", gives: []recoveryPlan{}},
	"POST /policies/recovery-plan":            {is: "Makes a plan", sends: planBody{}, example: planExample, gives: recoveryPlan{}},
	"GET /policies/recovery-plan/{guid}":      {is: "Shows a plan", gives: recoveryPlan{}},
	"PUT /policies/recovery-plan/{guid}":      {is: "Changes a plan", sends: planBody{}, example: planExample, gives: recoveryPlan{}},
	"DELETE /policies/recovery-plan/{guid}":   {is: "Deletes a plan"},
	"POST /policies/recovery-plan/{guid}/run": {is: "Runs a plan, for good or as a test", sends: runBody{}, may: true, example: `{"test":true}`, gives: task{}},
	"GET /policies/recovery-plan/{guid}/runs": {is: "Lists how runs of a plan went, step by step, the newest first", paged: true, gives: []planRun{}, also: []int{404}},
	"GET /rules/recovery-plan":                {is: "Lists the rules of a plan", asks: []ask{planAsk}, gives: []recoveryRule{}, also: []int{400, 404}},
	"POST /rules/recovery-plan":               {is: "Adds a rule to a plan", sends: recoveryBody{}, example: stepExample, gives: recoveryRule{}},
	"GET /rules/recovery-plan/{guid}":         {is: "Shows a rule", gives: recoveryRule{}},
	"PUT /rules/recovery-plan/{guid}":         {is: "Changes a rule", sends: recoveryBody{}, example: stepExample, gives: recoveryRule{}},
	"DELETE /rules/recovery-plan/{guid}":      {is: "Deletes a rule"},
}}
