package vendor

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api/openapi"
)

// answerName names what components of answers are called where the type's name is
// not it.
func answerName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[ref]():
		return "NameAndGuid"
	case reflect.TypeFor[enum]():
		return "EnumNameAndDescription"
	}
	return strings.ToUpper(t.Name()[:1]) + strings.TrimSuffix(strings.TrimSuffix(t.Name()[1:], "View"), "Body")
}

// bodyName names what components of requests are called: XRequest.
func bodyName(t reflect.Type) string {
	if t == reflect.TypeFor[rule]() { // of an export
		return "ExportRuleRequest"
	}
	return strings.ToUpper(t.Name()[:1]) + strings.TrimSuffix(strings.TrimSuffix(t.Name()[1:], "Wish"), "Body") + "Request"
}

// answered are the types of answers that are not structs to look into.
func answered(s *openapi.Schemas, t reflect.Type) *openapi.Schema {
	if t == reflect.TypeFor[[]struct{}]() {
		none := 0
		return &openapi.Schema{Type: "array", Items: &openapi.Schema{}, MaxItems: &none}
	}
	if t == reflect.TypeFor[days]() {
		return &openapi.Schema{Type: "object", Additional: &openapi.Schema{Type: "integer", Format: "int64"}}
	}
	return nil
}

// taken are the types that requests are read into, as in.go takes them.
func taken(s *openapi.Schemas, t reflect.Type) *openapi.Schema {
	one := func(name, says string, forms ...*openapi.Schema) *openapi.Schema {
		if s.All[name] == nil {
			s.All[name] = &openapi.Schema{AnyOf: forms, Description: says}
		}
		return &openapi.Schema{Ref: "#/components/schemas/" + name}
	}
	plain := func(kind string) *openapi.Schema { return &openapi.Schema{Type: kind, Nullable: true} }
	switch t {
	case reflect.TypeFor[text]():
		return one("Text", "Text, or a number or a boolean in its place. `null`: none.", plain("string"), plain("number"), plain("boolean"))
	case reflect.TypeFor[number]():
		return one("Number", "A whole number, also as a float or as text. `null` and empty text: none.", plain("number"), plain("string"))
	case reflect.TypeFor[truth]():
		return one("Truth", "`true` or `false`, also as text, 1 or 0. `null` and empty text: false.", plain("boolean"), plain("string"), plain("number"))
	case reflect.TypeFor[ref]():
		words := taken(s, reflect.TypeFor[text]())
		return one("Reference", "Another object, whole or by its bare guid. `null`: none.",
			&openapi.Schema{Type: "object", Properties: openapi.Properties{{Name: "guid", Schema: words}, {Name: "name", Schema: words}}}, plain("string"), plain("number"))
	case reflect.TypeFor[enum]():
		words := taken(s, reflect.TypeFor[text]())
		return one("Enum", "A value by an object with its `name`, or by its bare name, in letters of any size. `null`: none.",
			&openapi.Schema{Type: "object", Properties: openapi.Properties{{Name: "name", Schema: words}}}, plain("string"))
	case reflect.TypeFor[fsRef]():
		words := taken(s, reflect.TypeFor[text]())
		return one("FileSystemReference", "A file system by its `guid`, also bare, or by its `volume`. `null`: none.",
			&openapi.Schema{Type: "object", Properties: openapi.Properties{{Name: "guid", Schema: words}, {Name: "volume", Schema: words}}}, plain("string"), plain("number"))
	case reflect.TypeFor[locationRef]():
		guid := openapi.Property{Name: "guid", Schema: taken(s, reflect.TypeFor[text]())}
		return one("LocationReference", "Where a backup is, whole or by its bare guid, which is its backup's. `null`: none.",
			&openapi.Schema{Type: "object", Properties: openapi.Properties{guid, {Name: "backup", Schema: taken(s, reflect.TypeFor[ref]())}}}, plain("string"), plain("number"))
	case reflect.TypeFor[projectRef]():
		words := taken(s, reflect.TypeFor[text]())
		return one("ProjectReference", "A project by an object with its `guid`, `uuid` or `name`, or by its bare id or name. `null`: none.",
			&openapi.Schema{Type: "object", Properties: openapi.Properties{{Name: "guid", Schema: words}, {Name: "uuid", Schema: words}, {Name: "name", Schema: words}}}, plain("string"), plain("number"))
	case reflect.TypeFor[recoveryBody]():
		// It is a struct, and may be a bare guid.
		return &openapi.Schema{AnyOf: []*openapi.Schema{{Ref: "#/components/schemas/" + s.Component(t)}, plain("string")}}
	}
	if strings.HasPrefix(t.Name(), "maybe[") {
		return s.Type(t.Field(1).Type)
	}
	if t.Kind() == reflect.Slice && strings.HasPrefix(t.Name(), "several[") {
		item := s.Type(t.Elem())
		return &openapi.Schema{AnyOf: []*openapi.Schema{{Type: "array", Items: item, Nullable: true}, item}}
	}
	return nil
}

// mustSend are the fields without which a request is refused.
var mustSend = map[string][]string{
	"LoginRequest": {"login"}, "StateRequest": {"state"}, "ExportRequest": {"protectedEntities"}, "EntityRequest": {"value"}, "EntitiesRequest": {"protectedEntities"},
	"MarkRequest": {"retentionHint"}, "SnapshotsRequest": {"protectedEntities"}, "MountedRequest": {"mountedBackup"}, "DownloadRequest": {"paths"},
	"MailingListRequest": {"name", "recipients"},
}

// wordsOfMap gives the vendor's words of a map, each once.
func wordsOfMap[K comparable](m map[K]string) []string {
	return slices.Compact(slices.Sorted(maps.Values(m)))
}

var (
	backupTypes = []string{"FULL", "INCREMENTAL"}
	onlyVM      = []string{"VM"}
	hints       = []string{standardRetention, string(stowage.MarkDontTouch), string(stowage.MarkArchive), string(stowage.MarkRemove)}
	assignModes = []string{string(stowage.AssignDisabled), string(stowage.AssignOnly), string(stowage.AssignAndRemove)}
	checkKinds  = []string{string(stowage.CheckActive), string(stowage.CheckDelay), string(stowage.CheckConsole)}
	stateWords  = wordsOfMap(taskStates)
	typeWords   = wordsOfMap(taskTypes)
	destWords   = []string{"SWIFT", "FILESYSTEM"}
	mountModes  = []string{"AUTO", "MANUAL"}
	eventWords  = "`" + strings.Join(stowage.EventTypes, "`, `") + "`"
)

// words are the values of enumerations, by component and field. Those of requests
// are in the descriptions.
var words = map[string][]string{
	"SessionInfo.privileges": {"VE_BACKUP_SLA_READ", "VE_BACKUP_SLA_WRITE", "NODE_READ"}, "SessionInfo.language": {"EN"}, "SessionInfo.uiConsoleMode": {"STANDARD"},
	"EntityRef.type": {"VM", "USER", "SCHEDULE", "SYSTEM_SCHEDULE"},
	"Machine.type":   onlyVM, "Machine.hvmType": {"OPENSTACK"}, "Machine.hvType": {"KVM"}, "Machine.possibleActions": {"RESTORE", "BACKUP"},
	"Manager.type": {"OPENSTACK"}, "Manager.vmExportImportMode": {"DISK_ATTACHMENT"}, "Hypervisor.type": {"KVM"}, "Node.state": {"RUNNING", "OFFLINE", "DISABLED"}, "BackupDestination.type": destWords,
	"Task.state": stateWords, "Task.type": typeWords, "Task.backupType": backupTypes, "Task.restoreType": {"RESTORE", "RESTORE_AND_IMPORT", "RESTORE_AND_MOUNT"},
	"MountTask.state": stateWords, "MountTask.type": {"MOUNT", "UNMOUNT"}, "MountTask.backupType": backupTypes, "MountTask.restoreType": {"RESTORE_AND_MOUNT"},
	"Execution.state": {"RUNNING", "FINISHED", "FAILED", "CANCELLED"}, "Execution.definitionName": typeWords, "Execution.currentStep": typeWords,
	"RestoreJob.status": wordsOfMap(restoreStates), "RestoreJob.restoreType": {"RESTORE", "RESTORE_AND_IMPORT"},
	"Backup.status": {"QUEUED", "INPROGRESS", "SUCCESS", "FAILED", "SUCCESS_REMOVED"}, "Backup.type": backupTypes, "Backup.vmExportImportMode": {"DEFAULT"},
	"Location.backupDestinationType": destWords, "Location.roleType": {"PRIMARY"}, "Location.status": wordsOfMap(locationStatuses), "Location.type": backupTypes,
	"Location.retentionHint": hints, "BackupFile.backupFileType": {"DISK", "DISK_INC"}, "BackupFile.format": {"RAW"},
	"Mark.roleType": {"PRIMARY"}, "Mark.type": backupTypes, "Mark.previousType": backupTypes, "Mark.previousHint": hints, "Mark.retentionHint": hints,
	"Schedule.type": {"VM_BACKUP", "VM_SNAPSHOT"}, "Snapshot.state": wordsOfMap(snapshotStatuses), "Schedule.backupType": backupTypes, "Schedule.executionType": {"TIME", "INTERVAL"}, "Schedule.daysOfWeek": dayNames,
	"Schedule.months": monthNames[1:], "Schedule.dayOfWeekOccurrences": slices.DeleteFunc(slices.Clone(timesNames), func(s string) bool { return s == "" }),
	"Run.state": {"RUNNING", "FINISHED", "MISSED"}, "Entry.state": {"WAITING", "BEGUN", "FAILED", "SKIPPED"},
	"PolicyRow.autoAssignMode": assignModes, "Assign.mode": assignModes, "PolicyVM.type": onlyVM,
	"Assignment.changeType": {"ASSIGN", "REMOVE"}, "Assignment.changeReason": {"INCLUDED_TAG", "INCLUDED_NAME", "NO_LONGER_INCLUDED"},
	"DestRow.roleType": {"PRIMARY"}, "RecoveryCheck.type": checkKinds, "PlanRun.state": stateWords, "Step.state": stateWords,
	"MountedBackup.mode": mountModes, "MountedBackup.state": wordsOfMap(mountStates), "ListedFile.fileType": wordsOfMap(fileTypes),
	"ReportRow.status": wordsOfMap(reportStatuses), "Delivery.state": deliveryWords,
}

// fields say what fields mean: by component and name, or by name alone.
var fields = map[string]string{
	"windowStart": "When it may begin.", "windowEnd": "Until when it must have begun, or fails.", "creationTime": "When it was asked for.",
	"startTime": "When it began.", "finishTime": "When it ended.", "progress": "Percent.", "averageProgress": "Percent.", "priority": "0 to 100.",
	"statusInfo": "What went wrong, or is to be known.", "tenantId": "The project, by its id in Keystone.", "projectUuid": "The project, by its id in Keystone.",
	"backupTime": "When it was asked for.", "snapshotTime": "The point in time that a restore gives back.", "lastBackup": "The point in time of the newest good backup.",
	"archiveExpire": "Until when it is kept.", "bytesPerSecond": "While it is made: the average rate.", "active": "Whether it does anything.",
	"originEntity":                                         "Who asked for it: a user, a schedule, or the service itself.",
	"workflowExecution":                                    "The job that it is, or follows.",
	"parentTask":                                           "The task that it follows.",
	"retryCount":                                           "How often it has been tried again.",
	"retentionHint":                                        "What is said of keeping it.",
	"excludedFromBackup":                                   "Whether backups leave it out.",
	"Task.backupDestination":                               "`<project>:<container>`.",
	"Machine.guid":                                         "The id in the cloud; `uuid` is the same.",
	"Machine.present":                                      "Whether it is in the cloud still.",
	"Machine.backupUpToDate":                               "Whether there is a backup since the last due time whose window is over; not there without a schedule.",
	"Machine.vmBackupPolicy":                               "The policy of backups that protects it.",
	"Machine.snapshotMgmtPolicy":                           "The policy of snapshots that it is in.",
	"Snapshot.guid":                                        "That of the task that took it.",
	"Snapshot.uuid":                                        "Cinder's id, of a snapshot of one volume; of one of several the guid.",
	"Snapshot.snapshotTime":                                "When it was taken.",
	"Snapshot.policy":                                      "The name of `snapshotMgmtPolicy`.",
	"Snapshot.snapshotMgmtPolicy":                          "That removes it one day; not there: nobody does.",
	"Snapshot.status":                                      "The name of `state`.",
	"SnapshotDisk.vmDisk":                                  "The volume.",
	"SnapshotDisk.uuid":                                    "Cinder's id of the snapshot.",
	"SnapshotsRequest.rule":                                "Of a policy of snapshots, which removes them one day. If not given nobody does.",
	"Rule.retentionVersions":                               "Of snapshots: so many are kept; 0: that is not said.",
	"Rule.retentionDays":                                   "Of snapshots: those are kept that are not older; 0: that is not said.",
	"Machine.hypervisor":                                   "Told to the integration account only, of what is in the cloud still.",
	"Machine.standAloneVolume":                             "It is a volume, not a server.",
	"Machine.status":                                       "The cloud's word for its state.",
	"Disk.notSupportedReason":                              "Why it cannot be backed up.",
	"Disk.type":                                            "The volume type.",
	"Backup.size":                                          "Bytes that it stored; of what it shares with others none.",
	"Backup.warnings":                                      "What is to be known before it is relied on.",
	"Backup.taskDurationTime":                              "Milliseconds: the sum of `taskTimeStats`.",
	"TaskTimes.storeTime":                                  "Milliseconds; of a server's backup. Of a volume's, storing is part of exporting.",
	"TaskTimes.queuedStoreTime":                            "Likewise.",
	"Backup.hidden":                                        "Never.",
	"BackupFile.guid":                                      "The UUID of the volume's own backup.",
	"BackupFile.size":                                      "Bytes of the volume.",
	"RestoredFrom.size":                                    "Bytes of the volume.",
	"Schedule.hour":                                        "Milliseconds after midnight UTC; of `INTERVAL` without effect, as it was sent, or 0.",
	"Schedule.startWindowLength":                           "Milliseconds after the due time until which its tasks must have begun; 0: none.",
	"Interval.startHour":                                   "Milliseconds after midnight UTC.",
	"Interval.endHour":                                     "Milliseconds after midnight UTC, which count.",
	"Interval.frequency":                                   "Milliseconds.",
	"Run.dueTime":                                          "When it was due.",
	"Run.entities":                                         "What became of each entity.",
	"RecoveryCheck.delay":                                  "Milliseconds; of `DELAY`.",
	"RecoveryCheck.text":                                   "What the console must show; of `CONSOLE`.",
	"RecoveryCheck.timeout":                                "Milliseconds after which the step has failed.",
	"RecoveryPlan.rulesVmCount":                            "How many servers each rule has.",
	"Step.duration":                                        "Milliseconds from the beginning until it was up.",
	"Step.restoredTime":                                    "When its volumes were there.",
	"Step.upTime":                                          "When its check was passed.",
	"Retention.retentionKeepLastNFull":                     "Full backups, the last so many; 0: not by number.",
	"Retention.retentionKeepFullNewerThan":                 "Full backups newer than so many milliseconds; 0: not by age.",
	"Retention.retentionKeepLastNIncremental":              "Likewise, of increments.",
	"Retention.retentionKeepIncrementalNewerThan":          "Likewise, of increments.",
	"Retention.keepLastBackupWhenSourceStillExists":        "The newest good backup of what is still there always stays.",
	"RetentionRequest.retentionKeepLastNFull":              "Full backups, the last so many; 0: not by number.",
	"RetentionRequest.retentionKeepFullNewerThan":          "Full backups newer than so many milliseconds; 0: not by age.",
	"LoginRequest.login":                                   "`user`, `user@domain`, `user:project` or `user@domain:project`.",
	"StateRequest.state":                                   "`CANCELLED`; no other.",
	"StateRequest.statusInfo":                              "Why.",
	"ExportRequest.backupType":                             "`FULL`, or `INCREMENTAL`, the default, which is a full one where there is nothing to build on.",
	"ExportRequest.backupDestination":                      "`<project>:<container>`, or the container alone. If not given: the `PRIMARY` one of `rules[0]`, or the default.",
	"ExportRequest.retryCount":                             "How often a task that fails is tried again; if not given, as often as the operator says.",
	"ExportRequest.protectedEntities":                      "Servers and stand-alone volumes, 200 at most; each is backed up once.",
	"RestoreRequest.backup":                                "The backup; or in `backupLocation`.",
	"RestoreRequest.overwrite":                             "Write to `dstProtectedEntity`, or to the original if none is named. Otherwise there are new volumes.",
	"RestoreRequest.restoredPeName":                        "The new name.",
	"RestoreRequest.restoreStorageId":                      "The volume type of new volumes.",
	"RestoreRequest.restoreProject":                        "The backup's own, by id or name, or whole; any other is refused.",
	"Source.guid":                                          "Of the network interface: `networkInterfaceCard` of a restored network.",
	"Source.name":                                          "Its hardware address, or its guid.",
	"Source.defaultNetworkInternalId":                      "The network that it was in.",
	"Source.securityGroupsFromBackup":                      "Those that it had.",
	"NetworkSection.securityGroupsFromHypervisorManager":   "Those of the project; while Neutron does not tell, those of the backup.",
	"Storage.clusters":                                     "All that there are: a volume type is of no zone.",
	"Storage.totalAvailableSpace":                          "0: Cinder does not tell.",
	"Storage.totalUsedSpace":                               "0: Cinder does not tell.",
	"RestoreRequest.restoreClusterId":                      "The availability zone.",
	"RestoreRequest.restoreToOriginalVolumeType":           "The original's volume type, whatever else is said.",
	"EntityRequest.value":                                  "The guid of a protected entity.",
	"MarkRequest.guid":                                     "The backup's, or the location's: they are the same.",
	"MarkRequest.retentionHint":                            "`" + strings.Join(hints, "`, `") + "`.",
	"MarkRequest.archiveExpire":                            "Until when, of `ARCHIVE`.",
	"ScheduleRequest.type":                                 "`VM_BACKUP`, the default, or `VM_SNAPSHOT` (also `SNAPSHOT`), which takes rules of policies of snapshots. It stays what it is.",
	"ScheduleRequest.backupType":                           "`FULL` or `INCREMENTAL`; needed for `VM_BACKUP`.",
	"ScheduleRequest.executionType":                        "`TIME`, the default, with `hour`; or `INTERVAL`, with `interval`.",
	"ScheduleRequest.hour":                                 "Milliseconds after midnight UTC. Of `INTERVAL` it is kept, and without effect.",
	"ScheduleRequest.daysOfWeek":                           "`MONDAY` and so on. None: every day.",
	"ScheduleRequest.months":                               "`JANUARY` and so on. None: every month.",
	"ScheduleRequest.dayOfWeekOccurrences":                 "`FIRST_IN_MONTH` to `FOURTH_IN_MONTH`, `LAST_IN_MONTH`.",
	"ScheduleRequest.rules":                                "The rules that name it. If not given they stay as they are.",
	"PolicyRequest.vms":                                    "All entities it protects. If not given they stay as they are.",
	"PolicyRequest.rules":                                  "All its rules, whole. If not given they stay as they are.",
	"PolicyRequest.executeAutoAssignmentAfterSavingPolicy": "Assign at once, not only after the next look at the cloud.",
	"PolicyRequest.autoRemoveNonPresent":                   "Take out what is gone from the cloud.",
	"AssignRequest.mode":                                   "`" + strings.Join(assignModes, "`, `") + "`.",
	"AssignRequest.includeRegExps":                         "RE2, 100 of 255 bytes at most; they match anywhere unless anchored.",
	"RuleRequest.backupDestinations":                       "Bare destinations, as the older panel sends them: primary ones.",
	"RuleRequest.ruleBackupDestinations":                   "One, in the role `PRIMARY`.",
	"RuleRequest.retentionVersions":                        "Of snapshots: the last so many are kept. What this or `retentionDays` keeps stays; without both all stay.",
	"RuleRequest.retentionDays":                            "Of snapshots: those are kept that are not older than so many days.",
	"RuleRequest.daysToKeepRetentionLock":                  "0, or not there: the project's own container cannot be locked.",
	"ToRequest.daysToKeepRetentionLock":                    "As that of the rule.",
	"ToRequest.roleType":                                   "`PRIMARY`; a `SECONDARY` one without a destination is dropped.",
	"MachineRequest.vmBackupPolicy":                        "None takes it out of its policy.",
	"MachineRequest.snapshotMgmtPolicy":                    "`null` takes it out of its policy of snapshots; not there: it stays.",
	"DiskRequest.excludedFromBackup":                       "Whether backups leave it out.",
	"RecoveryRequest.vms":                                  "Servers, in their order. A rule without this stands for one that the plan has, by its guid.",
	"RecoveryRequest.deleteIfExists":                       "Must not be true: no server is deleted to make room for its backup.",
	"RunRequest.test":                                      "Build the servers in networks that nobody reaches, and remove all of it afterwards.",
	"MountTask.backupDestination":                          "`<project>:<container>`.",
	"MountTask.mountedBackup":                              "What is mounted, or is no more, once the task is `FINISHED`.",
	"MountRequest.backup":                                  "The backup; or in `backupLocation`. Of a server's, its boot disk is mounted.",
	"MountRequest.mode":                                    "`AUTO`, the default, or `MANUAL`, which do the same.",
	"MountRequest.mountedFileSystems":                      "Those wanted; none: all. `mountPath` is a name to show. What names no `fileSystem` is passed over.",
	"MountRequest.mountedDisks":                            "One at most: a volume's own backup, out of a server's.",
	"MountRequest.unmountTime":                             "When it ends, or, below 100000000000, after how many milliseconds. If not given, as the operator says.",
	"MountRequest.node":                                    "The manager that is to serve it. If not given, any.",
	"MountedBackup.mountTime":                              "Since when it is served, or when it was asked for.",
	"MountedBackup.unmountTime":                            "When it ended or ends.",
	"MountedBackup.finishedMount":                          "It is over.",
	"MountedBackup.node":                                   "The manager that serves it; `-` while that is not known.",
	"MountedBackup.task":                                   "What mounts it.",
	"MountedFrom.guid":                                     "The backup's UUID; the number of one that is gone.",
	"MountedFrom.size":                                     "Bytes of the volume.",
	"FileSystem.guid":                                      "`<mounted backup>.<number>`.",
	"FileSystem.volume":                                    "The partition or logical volume, as the guest calls it.",
	"FileSystem.size":                                      "Bytes.",
	"MountedFileSystem.mountPath":                          "The name it was given, or its own.",
	"ListingRequest.path":                                  "The directory. If not given, `/`.",
	"DownloadRequest.paths":                                "Files and directories, 1000 at most.",
	"ListedFile.modified":                                  "Milliseconds.",
	"ListedFile.owner":                                     "A number.",
	"ListedFile.group":                                     "A number.",
	"ListedFile.permissions":                               "Of `" + strings.Join(permissions, "`, `") + "`, those it has.",
	"Protection.vm":                                        "Servers and stand-alone volumes. The others are zero.",
	"Protected.noSchedule":                                 "Those under no schedule.",
	"BackupStats.totalData":                                "Text for people: what they stored.",
	"SizeStats.backupSizeStatsResponses":                   "Bytes stored, by day, in order: 15 days until today.",
	"SizeStats.restoreSizeStatsResponses":                  "Bytes restored, likewise.",
	"DestinationStats.totalAvailableSpace":                 "Used or not; 0: one of them has no bound that is known.",
	"ReportRow.snapshotTime":                               "Of a backup.",
	"ReportRow.restoreTime":                                "Of a restore.",
	"ReportSection.totalData":                              "Text for people: the sum of the sizes.",
	"ReportRequest.backupSize":                             "A chart of what backups are of, if it has a `groupBy`.",
	"ReportRequest.transferSize":                           "A chart of what was stored, if it has a `groupBy`.",
	"ReportRequest.value":                                  "Mail addresses, also with commas between them; 50 at most. Of `report-email`.",
	"ChargeRequest.groupBy":                                "`" + strings.Join(slices.Sorted(maps.Keys(groupings)), "`, `") + "`.",
	"ChargeRequest.hypervisorClusterGuids":                 "Availability zones.",
	"ChargeRequest.hypervisorManagerGuids":                 "`openstack`; others alone find nothing.",
	"Bar.name":                                             "Of what the bar stands for.",
	"Bar.size":                                             "Bytes.",
	"MailingListRequest.recipients":                        "Mail addresses, also with commas between them; 50 at most.",
	"WebhookRequest.url":                                   "Where events are sent, as `POST`. Needed to make one.",
	"WebhookRequest.eventTypes":                            "Of " + eventWords + ", or beginnings of them with `*` behind. None: all. If not given they stay as they are.",
	"WebhookRequest.active":                                "`true` unless said otherwise.",
	"WebhookRequest.secret":                                "What signs events, of 16 to 256 bytes. If not given one is made, or it stays.",
	"Webhook.eventTypes":                                   "Of " + eventWords + ".",
	"Webhook.secret":                                       "Told once, when it is made.",
	"Webhook.tenantId":                                     "The project; not there: it is told of all projects.",
	"Delivery.subject":                                     "The guid of the task or the backup.",
	"Delivery.time":                                        "When it happened.",
	"Delivery.nextAttempt":                                 "When it is tried next.",
	"Delivery.responseStatus":                              "Of the latest answer; not there: there was none.",
	"Delivery.responseTime":                                "Milliseconds.",
	"Delivery.response":                                    "How the answer began.",
	"CheckRequest.type":                                    "`" + strings.Join(checkKinds, "`, `") + "`.",
}

// note puts both on a field.
func note(component, field string, s *openapi.Schema) {
	at := component + "." + field
	if list := words[at]; list != nil {
		*choose(s) = openapi.Schema{Type: "object", Required: []string{"name", "description"}, Properties: openapi.Properties{
			{Name: "name", Schema: &openapi.Schema{Type: "string", Enum: list}}, {Name: "description", Schema: &openapi.Schema{Type: "string"}},
		}}
	}
	if s.Description = fields[at]; s.Description == "" {
		s.Description = fields[field]
	}
}

// choose gives the schema of the enumeration that a field is, or has an array of.
func choose(s *openapi.Schema) *openapi.Schema {
	if s.Type == "array" {
		s.Items = &openapi.Schema{}
		return s.Items
	}
	return s
}
