package vendor

import (
	"maps"
	"strings"
)

var (
	// policyAsks are those of a list of policies.
	policyAsks = []ask{
		{names: "project", text: "Only of this project, by its id."},
		{names: "guid", text: "Only these.", many: true},
		{names: "virtual-machine protected-entity", text: "Only those that protect these entities.", many: true},
	}
	// ruleAsks are those of a list of rules.
	ruleAsks = []ask{
		{names: "policy rule", text: "Only of these policies.", many: true},
		{names: "schedule", text: "Only those that name these schedules.", many: true},
	}
)

const (
	policyExample = `{"name":"gold","rules":[{"name":"daily","schedules":["..."],"ruleBackupDestinations":[{"roleType":"PRIMARY","backupDestination":"nightly",` +
		`"backupRetentionSettings":{"retentionKeepLastNFull":7}}]}],"vms":["..."]}`
	snapshotPolicyExample = `{"name":"quick","rules":[{"name":"hourly","schedules":["..."],"retentionVersions":24,"retentionDays":2}],"vms":["..."]}`
	snapshotRuleExample   = `{"name":"hourly","policy":"...","schedules":["..."],"retentionVersions":24,"retentionDays":2}`

	ruleExample = `{"name":"daily","policy":"...","schedules":["..."],"ruleBackupDestinations":[{"roleType":"PRIMARY","backupDestination":"nightly"}]}`
)

var policiesTold = group{
	"policies", "What is backed up, where to, and how long it stays. Policies of snapshots say what snapshots are taken of, and how long those stay in the project; " +
		"an entity may have one of each kind.", func() map[string]told {
		all := maps.Clone(backupPoliciesTold)
		for at, one := range backupPoliciesTold {
			one.is = strings.NewReplacer("a policy", "a policy of snapshots", "policies", "policies of snapshots", "a rule", "a rule of snapshots",
				"rules", "rules of snapshots", "its backups stay", "its snapshots stay").Replace(one.is)
			switch one.example {
			case policyExample:
				one.example = snapshotPolicyExample
			case ruleExample:
				one.example = snapshotRuleExample
			}
			all[strings.Replace(at, "/vm-backup", "/vm-snapshot", 1)] = one
		}
		return all
	}(),
}

var backupPoliciesTold = map[string]told{
	"GET /policies/vm-backup":           {is: "Lists policies", asks: append([]ask{{names: "extended", text: noEffect}}, policyAsks...), paged: true, byName: true, finds: "its name, or its guid", orders: policyColumns, gives: []policyRow{}},
	"POST /policies/vm-backup":          {is: "Makes a policy", sends: policyBody{}, example: policyExample, gives: policyDetails{}},
	"GET /policies/vm-backup/{guid}":    {is: "Shows a policy with all that is in it", gives: policyDetails{}},
	"PUT /policies/vm-backup/{guid}":    {is: "Changes a policy", more: "What is not given stays; `rules`, `vms` and `autoAssignSettings` are replaced whole where they are given.", sends: policyBody{}, example: policyExample, gives: policyDetails{}},
	"DELETE /policies/vm-backup/{guid}": {is: "Deletes a policy and its rules; its backups stay"},
	"POST /policies/vm-backup/list-by-entities": {
		is: "Lists the policies of these entities, with all that is in them", sends: entitiesBody{}, example: `{"protectedEntities":[{"guid":"..."}]}`, gives: []policyDetails{},
	},
	"POST /policies/vm-backup/auto-assignment-preview":        {is: "Tells what automatic assignment would do with such a policy", sends: policyBody{}, example: `{"name":"gold","autoAssignSettings":{"mode":"ASSIGN_ONLY","includeTags":["gold"]}}`, gives: []assignment{}},
	"POST /policies/vm-backup/{guid}/auto-assignment-preview": {is: "Tells what automatic assignment would do with a policy if it were so", sends: policyBody{}, example: `{"autoAssignSettings":{"mode":"ASSIGN_ONLY","includeTags":["gold"]}}`, gives: []assignment{}},
	"GET /rules/vm-backup":                                    {is: "Lists rules", asks: ruleAsks, paged: true, byName: true, finds: "its name, or its guid", gives: []ref{}},
	"POST /rules/vm-backup":                                   {is: "Adds a rule to a policy", sends: ruleBody{}, example: ruleExample, gives: ruleView{}},
	"GET /rules/vm-backup/{guid}":                             {is: "Shows a rule", asks: []ask{{names: "only-active-destinations", text: noEffect}}, gives: ruleView{}},
	"PUT /rules/vm-backup/{guid}":                             {is: "Changes a rule", sends: ruleBody{}, example: ruleExample, gives: ruleView{}},
	"DELETE /rules/vm-backup/{guid}":                          {is: "Deletes a rule"},
}
