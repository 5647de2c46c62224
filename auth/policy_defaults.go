package auth

import (
	"fmt"
	"io"
	"strings"
)

// Names of the rules that guard what Stowage does.
const (
	RuleGet         = "volume_backup:get"
	RuleGetAll      = "volume_backup:get_all"
	RuleCreate      = "volume_backup:create"
	RuleDelete      = "volume_backup:delete"
	RuleRestore     = "volume_backup:restore"
	RuleAllProjects = "volume_backup:all_projects"

	RuleIntegration    = "integration_account"
	RuleVendorGet      = "vendor_api:get"
	RuleVendorUpdate   = "vendor_api:update"
	RuleVendorTasks    = "vendor_api:tasks"
	RuleVendorExport   = "vendor_api:export"
	RuleVendorRestore  = "vendor_api:restore"
	RuleVendorDelete   = "vendor_api:delete"
	RuleVendorSync     = "vendor_api:inventory_sync"
	RuleVendorPolicies = "vendor_api:policies"
	RuleVendorMounts   = "vendor_api:mounts"
	RuleVendorMail     = "vendor_api:mail"
	RuleVendorWebhooks = "vendor_api:webhooks"
)

const hpBackups = "/v1.1/{tenant_id}/hp-volume-backups"

// Defaults are the rules in code: Secure RBAC as Cinder has it. A reader sees
// his project's backups, a member makes, restores and deletes them, an admin
// is admin of the whole cloud.
func Defaults() []Rule {
	const (
		reader = "rule:project_reader_or_admin"
		member = "rule:project_member_or_admin"
		admin  = "rule:admin_api"
	)
	return append([]Rule{
		{Name: "admin_api", Check: "role:admin and is_admin_project:True",
			Description: "Who is an administrator of the cloud."},
		{Name: "project_reader_or_admin", Check: "rule:admin_api or (role:reader and project_id:%(project_id)s)",
			Description: "Who may look at what belongs to a project."},
		{Name: "project_member_or_admin", Check: "rule:admin_api or (role:member and project_id:%(project_id)s)",
			Description: "Who may change what belongs to a project."},
		{Name: RuleGet, Check: reader, Description: "Show a backup.",
			Operations: []Operation{{"GET", hpBackups + "/{backup_id}"}}},
		{Name: RuleGetAll, Check: reader, Description: "List a project's backups.",
			Operations: []Operation{{"GET", hpBackups}, {"GET", hpBackups + "/detail"}}},
		{Name: RuleCreate, Check: member, Description: "Back up a volume.",
			Operations: []Operation{{"POST", hpBackups}}},
		{Name: RuleDelete, Check: member, Description: "Delete a backup.",
			Operations: []Operation{{"DELETE", hpBackups + "/{backup_id}"}}},
		{Name: RuleRestore, Check: member, Description: "Restore a backup to a new or an existing volume.",
			Operations: []Operation{{"POST", hpBackups + "/{backup_id}/restore"}}},
		{Name: RuleAllProjects, Check: admin, Description: "List the backups of all projects.",
			Operations: []Operation{{"GET", hpBackups + "?all_tenants=1"}, {"GET", hpBackups + "/detail?all_tenants=1"}}},
	}, vendorDefaults()...)
}

// vendorDefaults are the rules of the vendor task API: those of v1.1, and an
// account for portals, which does for everybody what each may do for himself.
func vendorDefaults() []Rule {
	const (
		reader      = "rule:project_reader_or_admin or rule:" + RuleIntegration
		member      = "rule:project_member_or_admin or rule:" + RuleIntegration
		integration = "rule:" + RuleIntegration
	)
	return []Rule{
		{Name: RuleIntegration, Check: "rule:admin_api or role:stowage_integration",
			Description: "Who sees all projects in the vendor task API, and narrows his view to one of them by a parameter."},
		{Name: RuleVendorGet, Check: reader, Description: "Look at inventory, tasks and backups.",
			Operations: []Operation{{"GET", "/api/**"}}},
		{Name: RuleVendorUpdate, Check: member, Description: "Describe a backup, or acknowledge its warnings.",
			Operations: []Operation{{"PUT", "/api/backups/{guid}/description"}, {"PUT", "/api/backups/{guid}/warnings-acknowledged"}}},
		{Name: RuleVendorTasks, Check: member, Description: "Cancel tasks, and take those that have ended off the list.",
			Operations: []Operation{{"PUT", "/api/tasks/{guid}/state"}, {"DELETE", "/api/tasks/{guid}"}, {"DELETE", "/api/tasks/all-*"}}},
		{Name: RuleVendorExport, Check: member, Description: "Back up, and have snapshots taken that stay in the project: those on the service's own rights.",
			Operations: []Operation{{"POST", "/api/tasks/export"}, {"POST", "/api/tasks/vm-snapshot"}, {"POST", "/api/tasks/snapshot"}}},
		{Name: RuleVendorRestore, Check: member, Description: "Restore volumes.", Operations: []Operation{{"POST", "/api/tasks/restore"}}},
		{Name: RuleVendorDelete, Check: member, Description: "Delete the backups of a protected entity, and forget entities that are gone.",
			Operations: []Operation{{"POST", "/api/tasks/delete"}, {"DELETE", "/api/virtual-machines/all-non-present"}}},
		{Name: RuleVendorPolicies, Check: member, Description: "Make, change and delete policies, their rules and schedules, and say which entities they protect. What they do is done on the service's own rights.",
			Operations: []Operation{{"POST", "/api/policies/vm-backup"}, {"PUT", "/api/policies/vm-backup/{guid}"}, {"DELETE", "/api/policies/vm-backup/{guid}"},
				{"POST", "/api/rules/vm-backup"}, {"PUT", "/api/rules/vm-backup/{guid}"}, {"DELETE", "/api/rules/vm-backup/{guid}"},
				{"POST", "/api/policies/vm-snapshot"}, {"PUT", "/api/policies/vm-snapshot/{guid}"}, {"DELETE", "/api/policies/vm-snapshot/{guid}"},
				{"POST", "/api/rules/vm-snapshot"}, {"PUT", "/api/rules/vm-snapshot/{guid}"}, {"DELETE", "/api/rules/vm-snapshot/{guid}"},
				{"POST", "/api/schedules"}, {"PUT", "/api/schedules/{guid}"}, {"DELETE", "/api/schedules/{guid}"},
				{"PUT", "/api/virtual-machines/{guid}/settings"}, {"POST", "/api/retention/mark-backups"}}},
		{Name: RuleVendorMounts, Check: member, Description: "Mount and unmount backups, and list and download the files in them.",
			Operations: []Operation{{"POST", "/api/tasks/restore-and-mount"}, {"POST", "/api/tasks/mount"}, {"POST", "/api/tasks/unmount"},
				{"POST", "/api/mounted-file-systems/{guid}/listing"}, {"POST", "/api/mounted-file-systems/{guid}/download"}}},
		{Name: RuleVendorMail, Check: member, Description: "Have reports mailed to whomever, and keep mailing lists.",
			Operations: []Operation{{"POST", "/api/dashboard/report-email"}, {"POST", "/api/mailing-lists"}, {"PUT", "/api/mailing-lists/{guid}"},
				{"DELETE", "/api/mailing-lists/{guid}"}}},
		{Name: RuleVendorWebhooks, Check: member, Description: "Make, change, test and delete webhooks: addresses that the service tells what happens in the project.",
			Operations: []Operation{{"POST", "/api/webhooks"}, {"PUT", "/api/webhooks/{guid}"}, {"DELETE", "/api/webhooks/{guid}"},
				{"POST", "/api/webhooks/{guid}/test"}}},
		{Name: RuleVendorSync, Check: integration, Description: "Have the inventory looked at again now.",
			Operations: []Operation{{"POST", "/api/tasks/inventory-sync"}}},
	}
}

const sampleHead = `# Who may do what in Stowage. This file holds overrides only: what is commented
# out here is in force as it stands. The language is that of oslo.policy.
# Changes take effect within seconds.

`

// Sample writes policy.yaml.sample: every default, commented out, with what it
// is for and the requests it guards.
func Sample(w io.Writer) error {
	var b strings.Builder
	b.WriteString(sampleHead)
	for i, r := range Defaults() {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "# %s\n", r.Description)
		for _, o := range r.Operations {
			fmt.Fprintf(&b, "# %-6s %s\n", o.Method, o.Path)
		}
		fmt.Fprintf(&b, "#%q: %q\n", r.Name, r.Check)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
