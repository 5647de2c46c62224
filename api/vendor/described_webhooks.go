package vendor

import "net/http"

var (
	deliveryWords = []string{"WAITING", "DELIVERED", "FAILED"}
	deliveryAsk   = ask{names: "state", text: "Only in one of these states.", words: deliveryWords, many: true}
)

const hookExample = `{"name":"CI","url":"https://ci.example.org/stowage","eventTypes":["io.stowage.backup.*"]}`

var webhooksTold = group{"webhooks", "Addresses that are told of what happens. The paths are our own.", map[string]told{
	"GET /webhooks":           {is: "Lists webhooks", paged: true, finds: "its name or URL; or its guid", orders: nameColumns, gives: []webhookView{}},
	"POST /webhooks":          {is: "Makes a webhook", more: "The answer has its secret, which is told this once.", sends: webhookBody{}, example: hookExample, gives: webhookView{}, good: http.StatusCreated},
	"GET /webhooks/{guid}":    {is: "Shows a webhook", gives: webhookView{}},
	"PUT /webhooks/{guid}":    {is: "Changes a webhook", more: "What is not given stays as it is.", sends: webhookBody{}, example: `{"active":false}`, gives: webhookView{}},
	"DELETE /webhooks/{guid}": {is: "Deletes a webhook"},
	"GET /webhooks/{guid}/deliveries": {
		is: "Lists what it was told or is to be told, the newest first", asks: []ask{deliveryAsk}, paged: true, gives: []deliveryView{}, also: []int{404},
	},
	"POST /webhooks/{guid}/test": {is: "Has it called with an event that means nothing", more: "A body is not read.", gives: deliveryView{}, good: http.StatusAccepted},
}}
