package vendor

var (
	// spanAsks are those of spanOf.
	spanAsks = []ask{{names: "from", text: "Only of this time or later, in milliseconds."}, {names: "to", text: "Only of this time or earlier, in milliseconds."}}
	// onlyVMAsk is that of reportWish.
	onlyVMAsk  = ask{names: "protectedEntityType protected-entity-type", text: "`VM`; any other finds nothing."}
	reportAsks = append([]ask{onlyVMAsk}, spanAsks...)
)

const (
	reportExample = `{"backupSize":{"groupBy":"virtual-machine"},"transferSize":null}`
	mailedExample = `{"value":["ops@example.org"]}`
	chargeExample = `{"groupBy":"backup-policy"}`
	listExample   = `{"name":"operators","recipients":["ops@example.org"]}`
	lastDay       = "Of the last 24 hours unless `from` and `to` say otherwise."
)

// nameColumns is what lists of things with names are sorted by.
var nameColumns = map[string]string{"name": "name"}

func fileTold(is string, kind string) told {
	return told{is: is, more: lastDay, asks: reportAsks, sends: reportBody{}, may: true, example: reportExample, file: []string{kind}}
}

func chargeTold(is, more string) told {
	return told{is: is, more: more, asks: append([]ask{{names: "protectedEntityType", text: noEffect}}, spanAsks...), sends: chargeBody{}, example: chargeExample, gives: []bar{}}
}

var reportsTold = group{"reports", "What is protected, what was done, and what it took.", map[string]told{
	"GET /dashboard/protection":               {is: "Counts what is protected", gives: protection{}},
	"GET /dashboard/backup-stats":             {is: "Counts the backups of the last 24 hours", gives: backupStats{}},
	"GET /dashboard/staging-space":            {is: "Lists the space for staging"},
	"GET /dashboard/vm-backup-size-stats":     {is: "Tells how much was stored and restored each day", gives: sizeStats{}},
	"GET /dashboard/backup-destination-stats": {is: "Tells how full the destinations are", gives: destinationStats{}},
	"GET /dashboard/report":                   {is: "Tells of all backups and restores", more: lastDay, asks: reportAsks, gives: reportView{}, also: []int{400}},
	"POST /dashboard/report-pdf":              fileTold("Gives the report as PDF", "application/pdf"),
	"POST /dashboard/report-html":             fileTold("Gives the report as a page", "text/html; charset=utf-8"),
	"POST /dashboard/report-email":            {is: "Mails the report", more: lastDay, asks: reportAsks, sends: reportBody{}, example: mailedExample},
	"POST /chargeback-reporting/backup-size/vm": chargeTold("Adds up the volumes of the backups that there are",
		"`groupBy` says what the sums are of; the lists of guids narrow them."),
	"POST /chargeback-reporting/transfer-size/vm": chargeTold("Adds up what backups stored",
		"`groupBy` says what the sums are of; the lists of guids narrow them. What was deleted since counts, too."),
	"GET /mailing-lists":           {is: "Lists mailing lists", paged: true, byName: true, finds: "its name or recipients; or its guid", orders: nameColumns, gives: []mailingList{}},
	"POST /mailing-lists":          {is: "Makes a mailing list", sends: mailingListBody{}, example: listExample, gives: mailingList{}},
	"GET /mailing-lists/{guid}":    {is: "Shows a mailing list", gives: mailingList{}},
	"PUT /mailing-lists/{guid}":    {is: "Changes a mailing list", sends: mailingListBody{}, example: listExample, gives: mailingList{}},
	"DELETE /mailing-lists/{guid}": {is: "Deletes a mailing list", more: "Policies that name it mail no more."},
}}
