package vendor

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/service"
)

type recoveryPlan struct {
	GUID       string         `json:"guid"`
	Name       string         `json:"name"`
	Active     bool           `json:"active"`
	Priority   int            `json:"priority"`
	RetryCount int            `json:"backupRetryCount"`
	RuleCount  int            `json:"ruleCount"`
	Rules      []recoveryRule `json:"rules"`
	VMCount    map[string]int `json:"rulesVmCount"`
	ProjectID  string         `json:"projectUuid"`
	TenantID   string         `json:"tenantId"`
}

type recoveryRule struct {
	GUID      string        `json:"guid"`
	Name      string        `json:"name"`
	Active    bool          `json:"active"`
	Position  int           `json:"position"`
	Policy    ref           `json:"policy"`
	Machines  []ref         `json:"vms"`
	Prefix    string        `json:"namePrefix,omitempty"`
	Suffix    string        `json:"nameSuffix,omitempty"`
	Flavor    *ref          `json:"restoreVmFlavor,omitempty"`
	Zone      string        `json:"restoreClusterId,omitempty"`
	StorageID string        `json:"restoreStorageId,omitempty"`
	Networks  []networkRow  `json:"networkMapping"`
	Check     recoveryCheck `json:"check"`
}

type recoveryCheck struct {
	Type    enum   `json:"type"`
	Delay   int64  `json:"delay,omitempty"`
	Text    string `json:"text,omitempty"`
	Timeout int64  `json:"timeout"`
}

func planView(p stowage.RecoveryPlan) recoveryPlan {
	v := recoveryPlan{
		GUID: p.ID, Name: p.Name, Active: p.Active, Priority: p.Priority, RuleCount: len(p.Rules), Rules: []recoveryRule{}, VMCount: map[string]int{},
		ProjectID: p.ProjectID, TenantID: p.ProjectID,
	}
	for i, r := range p.Rules {
		row := recoveryRule{
			GUID: r.ID, Name: cmp.Or(r.Name, r.ID), Active: r.Active, Position: i, Policy: ref{p.ID, p.Name}, Machines: []ref{},
			Prefix: r.Prefix, Suffix: r.Suffix, Flavor: refTo(r.FlavorID, ""), Zone: r.Zone, StorageID: r.Type, Networks: []networkRow{},
			Check: recoveryCheck{
				Type: enumOf(string(cmp.Or(r.Check.Kind, stowage.CheckActive))), Delay: r.Check.Delay.Milliseconds(), Text: r.Check.Text,
				Timeout: cmp.Or(r.Check.Timeout, stowage.CheckTimeout).Milliseconds(),
			},
		}
		for _, s := range r.Servers {
			row.Machines = append(row.Machines, ref{s, s})
		}
		for _, from := range slices.Sorted(maps.Keys(r.Networks)) {
			row.Networks = append(row.Networks, networkRow{ref{from, from}, ref{r.Networks[from], r.Networks[from]}})
		}
		v.Rules, v.VMCount[r.ID] = append(v.Rules, row), len(r.Servers)
	}
	return v
}

// planRun tells how a run of a recovery plan went.
type planRun struct {
	GUID       string     `json:"guid"` // of its task
	State      enum       `json:"state"`
	StatusInfo string     `json:"statusInfo,omitempty"`
	Test       bool       `json:"test"`
	Started    *int64     `json:"startTime,omitempty"`
	Finished   *int64     `json:"finishTime,omitempty"`
	Cleaned    *int64     `json:"cleanedTime,omitempty"`
	Steps      []stepView `json:"steps"`
}

// stepView is one server of a run, with milliseconds since 1970, and how many it took.
type stepView struct {
	Rule     ref        `json:"rule"`
	Entity   *entityRef `json:"protectedEntity"`
	Target   *ref       `json:"dstProtectedEntity,omitempty"`
	Backup   ref        `json:"backup"`
	State    enum       `json:"state"`
	Info     string     `json:"statusInfo,omitempty"`
	Begun    *int64     `json:"startTime,omitempty"`
	Restored *int64     `json:"restoredTime,omitempty"`
	Active   *int64     `json:"activeTime,omitempty"`
	Up       *int64     `json:"upTime,omitempty"`
	Duration int64      `json:"duration"`
	Task     string     `json:"task"`
}

func planRunView(t service.Task) planRun {
	v := planRun{
		GUID: t.ID, State: enumOf(taskStates[t.State]), StatusInfo: t.Error, Started: millis(t.StartedAt), Finished: millis(t.FinishedAt), Steps: []stepView{},
	}
	run := t.Params.Recovery
	if run == nil {
		return v
	}
	v.Test, v.Cleaned = run.Test, millis(run.Cleaned)
	for _, s := range run.Steps {
		row := stepView{
			Rule: ref{s.Rule.ID, cmp.Or(s.Rule.Name, s.Rule.ID)}, Entity: entityTo(service.Entity{ID: s.ServerID, Name: s.Name}), Target: refTo(s.MadeID, s.Name),
			Backup: ref{s.Backup, s.Backup}, State: enumOf(taskStates[stepState(s)]), Info: s.Error, Begun: millis(s.BegunAt), Restored: millis(s.RestoredAt),
			Active: millis(s.ActiveAt), Up: millis(s.UpAt), Duration: between(s.BegunAt, s.UpAt), Task: s.JobID,
		}
		v.Steps = append(v.Steps, row)
	}
	return v
}

func stepState(s stowage.RecoveryStep) stowage.JobState {
	var none time.Time
	switch {
	case s.Error != "":
		return stowage.JobFailed
	case s.UpAt != none:
		return stowage.JobFinished
	case s.BegunAt != none:
		return stowage.JobRunning
	}
	return stowage.JobQueued
}
