package vendor

var sessionTold = group{"session", "Logging in. Clients may do so before every call.", map[string]told{
	"POST /session/login": {
		is: "Logs in", more: "Checks both with Keystone, and sets the cookie of a session. In standalone mode the login is the token of the other API, and any password will do.",
		sends: loginBody{}, example: `{"login":"alice:web","password":"..."}`, gives: sessionInfo{}, also: []int{403, 429},
	},
	"POST /session/logout": {is: "Ends the session"},
	"GET /session":         {is: "Tells whether the session is good"},
	"GET /session/user":    {is: "Tells who is logged in", gives: sessionInfo{}},
	"GET /user-info":       {is: "Tells who is logged in", gives: sessionInfo{}},
}}
