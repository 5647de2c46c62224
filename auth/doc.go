// Package auth answers who is calling and whether he may.
//
//   - A Validator turns the token of a request into a Caller. Keystone asks the
//     identity service, by the rules of keystonemiddleware's auth_token; Noauth
//     believes what standalone's callers say.
//   - An Enforcer holds the policy: defaults in code, overrides in policy.yaml,
//     with the semantics of oslo.policy, and says whether a Caller may.
//   - A Session is the service's own login: a token that is always good, the
//     catalog's endpoints, an HTTP client that trusts the right CA.
//
// The package promises that a request nobody vouches for never gets a Caller,
// that Keystone being away is Unavailable and never Unauthorized (a client
// that is told 401 logs in again and again), and that no token or password can
// be printed by accident. It leaves to the API what a 401, 403 or 503 looks
// like, and to main where options, files and the clock come from.
//
// Nothing here reads identity from headers such as X-Project-Id or X-Roles:
// only tokens count, so there is nothing a caller could forge.
package auth
