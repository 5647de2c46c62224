// Command agent runs in the guest of devstack/lvm-guest and does what the test
// at the address asks for, until that hangs up.
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/stowage/stowage/internal/e2e/guest"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return (&guest.Agent{}).Serve(conn)
}
