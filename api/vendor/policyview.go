package vendor

import (
	"github.com/stowage/stowage"
	"github.com/stowage/stowage/service"
)

// policyRow is a policy in a list.
type policyRow struct {
	GUID         string       `json:"guid"`
	Name         string       `json:"name"`
	Active       bool         `json:"active"`
	Priority     int          `json:"priority"`
	VMCount      int          `json:"vmCount"`
	AverageSize  int64        `json:"averageBackupSize"`
	RuleCount    int          `json:"ruleCount"`
	Rules        []ref        `json:"rules"`
	RetryCount   int          `json:"backupRetryCount"`
	AssignMode   enum         `json:"autoAssignMode"`
	Destinations []destOfRule `json:"ruleBackupDestinations"`
	TenantID     string       `json:"tenantId,omitempty"`
}

type destOfRule struct {
	Destination *ref `json:"backupDestination"`
}

func policyRowView(p service.PolicyView) policyRow {
	v := policyRow{
		GUID: p.ID, Name: p.Name, Active: p.Active, Priority: p.Priority, VMCount: p.Facts.Entities, AverageSize: p.Facts.AverageBytes,
		RuleCount: len(p.Rules), Rules: []ref{}, RetryCount: p.Is.RetryCount, AssignMode: enumOf(assignMode(p.Is.Assign)),
		Destinations: []destOfRule{}, TenantID: p.ProjectID,
	}
	for _, r := range p.Rules {
		v.Rules = append(v.Rules, ref{r.ID, r.Name})
		if r.Kind == stowage.PolicyBackup {
			v.Destinations = append(v.Destinations, destOfRule{ruleContainer(r)})
		}
	}
	return v
}

func assignMode(a stowage.AutoAssign) string {
	return orText(string(a.Mode), string(stowage.AssignDisabled))
}

// policyDetails are a policy with all that is in it; clients send it back whole.
type policyDetails struct {
	GUID        string     `json:"guid"`
	Name        string     `json:"name"`
	Active      bool       `json:"active"`
	Priority    int        `json:"priority"`
	RemoveGone  bool       `json:"autoRemoveNonPresent"`
	RetryCount  int        `json:"backupRetryCount"`
	Assign      assignView `json:"autoAssignSettings"`
	VMs         []policyVM `json:"vms"`
	Rules       []ruleView `json:"rules"`
	AverageSize int64      `json:"averageBackupSize"`
	VMCount     int        `json:"vmCount"`
	RuleCount   int        `json:"ruleCount"`
	Export      int        `json:"failRemainingBackupTasksExportThreshold"`
	Store       int        `json:"failRemainingBackupTasksStoreThreshold"`
	Report      bool       `json:"dailyReportEnabled"`
	Mailing     *ref       `json:"mailingList,omitempty"`
	Projects    []ref      `json:"projects"`
	ProjectUUID string     `json:"projectUuid,omitempty"`
	AllProjects bool       `json:"visibleForAllProjects"`
	KeepAll     bool       `json:"disableCleanOldBackups"`
	Quiesce     bool       `json:"quiesceBeforeSnapshot"`
	TenantID    string     `json:"tenantId,omitempty"`
}

type assignView struct {
	Mode         enum     `json:"mode"`
	IncludeTags  []string `json:"includeTags"`
	ExcludeTags  []string `json:"excludeTags"`
	IncludeNames []string `json:"includeRegExps"`
	ExcludeNames []string `json:"excludeRegExps"`
	Clusters     []ref    `json:"hvClusters"`
	Projects     []ref    `json:"projects"`
}

type policyVM struct {
	GUID string `json:"guid"`
	UUID string `json:"uuid"`
	Name string `json:"name"`
	Type enum   `json:"type"`
}

func named(ids []string) []ref {
	return each(ids, func(id string) ref { return ref{id, id} })
}

func (a *API) policyDetails(r request, p service.PolicyView) (policyDetails, error) {
	s := p.Is.Assign
	v := policyDetails{
		GUID: p.ID, Name: p.Name, Active: p.Active, Priority: p.Priority, RemoveGone: p.Is.RemoveGone, RetryCount: p.Is.RetryCount,
		Assign: assignView{enumOf(assignMode(s)), list(s.IncludeTags), list(s.ExcludeTags), list(s.IncludeNames), list(s.ExcludeNames), named(s.Zones), named(s.Projects)},
		VMs: each(p.Entities, func(e service.Entity) policyVM {
			return policyVM{e.ID, e.ID, orText(e.Name, e.ID), enumOf("VM")}
		}),
		Rules: each(p.Rules, func(r service.RuleView) ruleView { return viewOfRule(r, p.Facts.Entities) }), AverageSize: p.Facts.AverageBytes, VMCount: p.Facts.Entities,
		RuleCount: len(p.Rules), Export: p.Is.ExportThreshold, Store: p.Is.StoreThreshold, Report: p.Is.DailyReport,
		Mailing: refTo(p.Is.MailingList, ""), Projects: []ref{}, ProjectUUID: p.ProjectID, KeepAll: p.Is.KeepAll, Quiesce: p.Is.Quiesce, TenantID: p.ProjectID,
	}
	if p.ProjectID == "" {
		return v, nil
	}
	known, err := a.Service.Resources(r.Context(), r.scope, stowage.ResourceProject)
	if err != nil {
		return v, err
	}
	name := p.ProjectID
	for _, k := range known {
		if k.ID == p.ProjectID {
			name = k.Name
		}
	}
	v.Projects = append(v.Projects, ref{p.ProjectID, name})
	return v, nil
}
