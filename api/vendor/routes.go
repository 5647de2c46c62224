package vendor

import (
	"net/http"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/report"
)

// route is one path of the API.
type route struct {
	method, path string
	rule         string // of the policy; empty: whoever is logged in
	open         bool   // for whoever is not
	list         bool   // answers with an array
	verb         func(*API, http.ResponseWriter, request) error
	empty        string // why it always answers the empty form; "": it answers with state
}

func get(path string, verb func(*API, http.ResponseWriter, request) error) route {
	return route{method: http.MethodGet, path: path, rule: auth.RuleVendorGet, verb: verb}
}

func lists(path string, verb func(*API, http.ResponseWriter, request) error) route {
	r := get(path, verb)
	r.list = true
	return r
}

func does(method, path, rule string, verb func(*API, http.ResponseWriter, request) error) route {
	return route{method: method, path: path, rule: rule, verb: verb}
}

// nothing is a list that has no meaning on OpenStack, or not yet any content.
// Clients ask for it on their way to something else.
func nothing(path, why string) route { return alwaysNone(http.MethodGet, path, why) }

func alwaysNone(method, path, why string) route {
	r := lists(path, func(_ *API, w http.ResponseWriter, _ request) error { respond(w, []struct{}{}, 0); return nil })
	r.method, r.empty = method, why
	return r
}

// sums are asked for with a body, and change nothing.
func sums(path string, moved bool) route {
	r := lists(path, charges(moved))
	r.method = http.MethodPost
	return r
}

// routes are all paths there are. doc/vendor-api.md is made of them.
func routes() []route {
	return slices.Concat(otherRoutes(), policyRoutes("vm-backup", stowage.PolicyBackup), policyRoutes("vm-snapshot", stowage.PolicySnapshot))
}

// policyRoutes are those of the policies and the rules of a kind, which are alike.
func policyRoutes(name string, kind stowage.PolicyKind) []route {
	policies, rules := "/policies/"+name, "/rules/"+name
	list := []route{
		lists(policies, (*API).policies),
		does(http.MethodPost, policies, auth.RuleVendorPolicies, (*API).createPolicy),
		does(http.MethodPost, policies+"/list-by-entities", auth.RuleVendorGet, (*API).policiesOf),
		does(http.MethodPost, policies+"/auto-assignment-preview", auth.RuleVendorGet, (*API).previewAssign),
		does(http.MethodPost, policies+"/{guid}/auto-assignment-preview", auth.RuleVendorGet, (*API).previewAssign),
		get(policies+"/{guid}", (*API).policy),
		does(http.MethodPut, policies+"/{guid}", auth.RuleVendorPolicies, (*API).updatePolicy),
		does(http.MethodDelete, policies+"/{guid}", auth.RuleVendorPolicies, (*API).deletePolicy),
		lists(rules, (*API).rules),
		does(http.MethodPost, rules, auth.RuleVendorPolicies, (*API).createRule),
		get(rules+"/{guid}", (*API).oneRule),
		does(http.MethodPut, rules+"/{guid}", auth.RuleVendorPolicies, (*API).updateRule),
		does(http.MethodDelete, rules+"/{guid}", auth.RuleVendorPolicies, (*API).deleteRule),
	}
	for i, r := range list {
		list[i].verb = func(a *API, w http.ResponseWriter, q request) error {
			q.kind = kind
			return r.verb(a, w, q)
		}
	}
	return list
}

func otherRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/session/login", open: true, verb: (*API).login},
		{method: http.MethodPost, path: "/session/logout", open: true, verb: (*API).logout},
		{method: http.MethodGet, path: "/session", verb: (*API).alive},
		{method: http.MethodGet, path: "/session/user", verb: (*API).user},
		{method: http.MethodGet, path: "/user-info", verb: (*API).user},

		lists("/virtual-machines", (*API).machines),
		lists("/virtual-machines/detailed", (*API).machines),
		get("/virtual-machines/{guid}", (*API).machine),
		does(http.MethodPut, "/virtual-machines/{guid}/settings", auth.RuleVendorPolicies, (*API).machineSettings),
		does(http.MethodDelete, "/virtual-machines/all-non-present", auth.RuleVendorDelete, (*API).forgetGone),
		alwaysNone(http.MethodPost, "/virtual-machines/incremental-not-possible", "an increment needs no schedule: where there is no base, a full backup is made"),
		lists("/virtual-machine-disks", (*API).disks),
		does(http.MethodPut, "/virtual-machine-disks/{guid}/settings", auth.RuleVendorPolicies, (*API).setDisk),
		lists("/virtual-machine-flavors", resources(stowage.ResourceFlavor, resourceRef)),
		lists("/snapshots", (*API).snapshots),
		lists("/network", resources(stowage.ResourceNetwork, resourceRef)),
		get("/openstack/restore-settings", (*API).restoreSettings),
		get("/openstack/restore-settings/project-restriction", (*API).restoreSettings), // what the newest panel calls it
		lists("/network/shared", (*API).sharedNetworks),
		nothing("/credential", "nobody logs in to servers"),
		lists("/projects", (*API).projects),

		lists("/hypervisor-managers", (*API).managers),
		get("/hypervisor-managers/{guid}", (*API).oneManager),
		lists("/hypervisor-clusters", resources(stowage.ResourceZone, zoneView)),
		lists("/hypervisor-storages", (*API).storages),
		lists("/hypervisors", (*API).hypervisors),
		get("/hypervisors/{guid}", (*API).hypervisor),
		lists("/nodes", (*API).nodes),

		lists("/backup-destinations", (*API).destinations),
		does(http.MethodPost, "/backup-destinations/usable-for-vms", auth.RuleVendorGet, (*API).usable),

		lists("/backups", (*API).backups),
		get("/backups/{guid}", (*API).backup),
		does(http.MethodPut, "/backups/{guid}/description", auth.RuleVendorUpdate, (*API).describe),
		does(http.MethodPut, "/backups/{guid}/warnings-acknowledged", auth.RuleVendorUpdate, (*API).acknowledge),
		lists("/backup-locations", (*API).locations),
		lists("/backup-locations/for-restore", (*API).restorable),
		does(http.MethodPost, "/retention/mark-backups", auth.RuleVendorPolicies, (*API).markBackups),
		does(http.MethodPost, "/retention/mark-backups/preview", auth.RuleVendorGet, (*API).previewMarks),
		lists("/backup-files", (*API).files),
		lists("/backup-files/detailed", (*API).files),
		lists("/backup-files/detailed/for-restore", (*API).files),
		lists("/restore-jobs", (*API).restoreJobs),

		lists("/file-systems", (*API).fileSystems),
		does(http.MethodPost, "/tasks/restore-and-mount", auth.RuleVendorMounts, (*API).mount),
		does(http.MethodPost, "/tasks/mount", auth.RuleVendorMounts, (*API).mountAgain),
		does(http.MethodPost, "/tasks/unmount", auth.RuleVendorMounts, (*API).unmount),
		lists("/mounted-backups", (*API).mountedBackups),
		get("/mounted-backups/{guid}", (*API).mountedBackup),
		lists("/mounted-file-systems/detailed", (*API).mountedFileSystems),
		lists("/mounted-files", (*API).mountedFiles),
		does(http.MethodPost, "/mounted-file-systems/{guid}/listing", auth.RuleVendorMounts, (*API).listFiles),
		does(http.MethodPost, "/mounted-file-systems/{guid}/download", auth.RuleVendorMounts, (*API).download),

		lists("/tasks", (*API).tasks),
		get("/tasks/{guid}", (*API).task),
		does(http.MethodPut, "/tasks/{guid}/state", auth.RuleVendorTasks, (*API).taskState),
		does(http.MethodDelete, "/tasks/all-finished", auth.RuleVendorTasks, (*API).hideFinished),
		does(http.MethodDelete, "/tasks/all-finished-and-queued", auth.RuleVendorTasks, (*API).hideFinishedAndQueued),
		does(http.MethodDelete, "/tasks/all-running", auth.RuleVendorTasks, (*API).cancelRunning),
		does(http.MethodDelete, "/tasks/{guid}", auth.RuleVendorTasks, (*API).hideTask),
		does(http.MethodPost, "/tasks/export", auth.RuleVendorExport, (*API).export),
		does(http.MethodPost, "/tasks/vm-snapshot", auth.RuleVendorExport, (*API).takeSnapshots),
		does(http.MethodPost, "/tasks/snapshot", auth.RuleVendorExport, (*API).takeSnapshots),
		does(http.MethodPost, "/tasks/restore", auth.RuleVendorRestore, (*API).restore),
		does(http.MethodPost, "/tasks/restore-and-import", auth.RuleVendorRestore, (*API).restoreAndImport),
		does(http.MethodPost, "/tasks/delete", auth.RuleVendorDelete, (*API).remove),
		does(http.MethodPost, "/tasks/inventory-sync", auth.RuleVendorSync, (*API).sync),
		lists("/workflow-executions", (*API).executions),
		does(http.MethodDelete, "/workflow-executions/{guid}", auth.RuleVendorTasks, (*API).hideFlow),

		lists("/schedules", (*API).schedules),
		does(http.MethodPost, "/schedules", auth.RuleVendorPolicies, (*API).createSchedule),
		get("/schedules/{guid}", (*API).schedule),
		does(http.MethodPut, "/schedules/{guid}", auth.RuleVendorPolicies, (*API).updateSchedule),
		does(http.MethodDelete, "/schedules/{guid}", auth.RuleVendorPolicies, (*API).deleteSchedule),

		lists("/schedules/{guid}/runs", (*API).runs),

		lists("/policies/recovery-plan", (*API).plans),
		does(http.MethodPost, "/policies/recovery-plan", auth.RuleVendorPolicies, (*API).createPlan),
		get("/policies/recovery-plan/{guid}", (*API).plan),
		does(http.MethodPut, "/policies/recovery-plan/{guid}", auth.RuleVendorPolicies, (*API).updatePlan),
		does(http.MethodDelete, "/policies/recovery-plan/{guid}", auth.RuleVendorPolicies, (*API).deletePlan),
		does(http.MethodPost, "/policies/recovery-plan/{guid}/run", auth.RuleVendorRestore, (*API).runPlan),
		lists("/policies/recovery-plan/{guid}/runs", (*API).planRuns),
		lists("/rules/recovery-plan", (*API).recoveryRules),
		does(http.MethodPost, "/rules/recovery-plan", auth.RuleVendorPolicies, (*API).createRecoveryRule),
		get("/rules/recovery-plan/{guid}", (*API).oneRecoveryRule),
		does(http.MethodPut, "/rules/recovery-plan/{guid}", auth.RuleVendorPolicies, (*API).updateRecoveryRule),
		does(http.MethodDelete, "/rules/recovery-plan/{guid}", auth.RuleVendorPolicies, (*API).deleteRecoveryRule),

		get("/dashboard/protection", (*API).protection),
		get("/dashboard/backup-stats", (*API).backupStats),
		nothing("/dashboard/staging-space", "backups go straight to the object store"),
		get("/dashboard/vm-backup-size-stats", (*API).sizeStats),
		get("/dashboard/backup-destination-stats", (*API).destinationStats),
		get("/dashboard/report", (*API).report),
		does(http.MethodPost, "/dashboard/report-pdf", auth.RuleVendorGet, reportFile("application/pdf", ".pdf", report.PDF)),
		does(http.MethodPost, "/dashboard/report-html", auth.RuleVendorGet, reportFile("text/html; charset=utf-8", ".html", report.HTML)),
		does(http.MethodPost, "/dashboard/report-email", auth.RuleVendorMail, (*API).reportMail),
		sums("/chargeback-reporting/backup-size/vm", false),
		sums("/chargeback-reporting/transfer-size/vm", true),
		lists("/mailing-lists", (*API).mailingLists),
		does(http.MethodPost, "/mailing-lists", auth.RuleVendorMail, (*API).createMailingList),
		get("/mailing-lists/{guid}", (*API).mailingList),
		does(http.MethodPut, "/mailing-lists/{guid}", auth.RuleVendorMail, (*API).updateMailingList),
		does(http.MethodDelete, "/mailing-lists/{guid}", auth.RuleVendorMail, (*API).deleteMailingList),

		lists("/webhooks", (*API).webhooks),
		does(http.MethodPost, "/webhooks", auth.RuleVendorWebhooks, (*API).createWebhook),
		get("/webhooks/{guid}", (*API).webhook),
		does(http.MethodPut, "/webhooks/{guid}", auth.RuleVendorWebhooks, (*API).updateWebhook),
		does(http.MethodDelete, "/webhooks/{guid}", auth.RuleVendorWebhooks, (*API).deleteWebhook),
		lists("/webhooks/{guid}/deliveries", (*API).deliveries),
		does(http.MethodPost, "/webhooks/{guid}/test", auth.RuleVendorWebhooks, (*API).testWebhook),
	}
}
