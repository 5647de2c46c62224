package stowage

import (
	"errors"
	"fmt"
)

// Code says what kind of thing went wrong, in terms every protocol can map to
// its own fault.
type Code string

const (
	// Internal is anything we cannot explain to the user; the log has the cause.
	Internal Code = "internal"
	// Invalid means the request itself cannot be carried out as it stands.
	Invalid Code = "invalid"
	// Unauthorized means the caller did not prove who he is.
	Unauthorized Code = "unauthorized"
	// Forbidden means the caller is known and may not do this.
	Forbidden Code = "forbidden"
	// NotFound means there is no such thing, or none the caller may know of.
	NotFound Code = "not-found"
	// Conflict means the thing is in a state that excludes the request.
	Conflict Code = "conflict"
	// OverLimit means a quota or a size limit stands in the way.
	OverLimit Code = "over-limit"
	// Unavailable means a neighbour (or a manager) is away: try again later.
	Unavailable Code = "unavailable"
	// Corrupt means stored data is not what was written: never try again blindly.
	Corrupt Code = "corrupt"
)

// Error is a coded error. Message is for the user and holds no secrets and no
// internals; the cause is for the log.
type Error struct {
	Code    Code
	Message string
	Cause   error
}

// Error gives the message and, behind it, the cause.
func (e *Error) Error() string {
	switch {
	case e.Cause == nil:
		return e.Message
	case e.Message == "":
		return e.Cause.Error()
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes a coded error with a message for the user and no cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a coded error whose message is the user's and whose cause is the log's.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// CodeOf gives the code of the outermost coded error in err's chain, Internal
// if there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// MessageOf gives the message of the outermost coded error in err's chain,
// and "" if there is none: an uncoded error is not for users.
func MessageOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

// Is reports whether err's chain holds an error of this code.
func Is(err error, code Code) bool {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return false
		}
		if e.Code == code {
			return true
		}
		err = e.Cause
	}
	return false
}
