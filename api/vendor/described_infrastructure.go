package vendor

var infrastructureTold = group{"infrastructure", "What the cloud has to choose from, and where backups go.", map[string]told{
	"GET /hypervisor-managers":        {is: "Lists the clouds: one", asks: []ask{{names: "backup-to-be-restored", text: "Without effect: every backup can be restored to it."}}, gives: []manager{}},
	"GET /hypervisor-managers/{guid}": {is: "Shows the cloud", gives: manager{}},
	"GET /hypervisor-clusters":        {is: "Lists availability zones", asks: []ask{managerAsk}, gives: []zone{}},
	"GET /hypervisor-storages":        {is: "Lists volume types", asks: []ask{managerAsk}, gives: []storage{}},
	"GET /virtual-machine-flavors":    {is: "Lists flavors", asks: []ask{managerAsk}, gives: []ref{}},
	"GET /network":                    {is: "Lists networks", asks: []ask{managerAsk}, gives: []ref{}},
	"GET /network/shared":             {is: "Lists networks that every project may use", gives: []ref{}},
	"GET /projects":                   {is: "Lists projects", gives: []project{}},
	"GET /hypervisors":                {is: "Lists compute hosts with servers, to the integration account", paged: true, byName: true, finds: "its name", orders: hypervisorOrders.columns(), gives: []hypervisor{}},
	"GET /hypervisors/{guid}":         {is: "Shows a compute host, to the integration account", gives: hypervisor{}},
	"GET /nodes":                      {is: "Lists managers, to the integration account", paged: true, byName: true, finds: "its name", orders: nodeOrders.columns(), gives: []node{}},
	"GET /backup-destinations":        {is: "Lists containers that hold backups, and the default one", paged: true, byName: true, finds: "its name", orders: destinationOrders.columns(), gives: []backupDestination{}},
	"POST /backup-destinations/usable-for-vms": {
		is: "Lists the destinations that all of these can be backed up to", sends: several[ref]{}, example: `[{"guid":"..."}]`, gives: []ref{},
	},
	"POST /tasks/inventory-sync": {is: "Has the cloud looked at again", more: "A body is not read.", gives: []task{}},
}}
