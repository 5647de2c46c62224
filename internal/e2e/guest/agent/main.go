// Command agent runs in the guest of devstack/lvm-guest and does what the test
// at the address asks for, until that hangs up.
package main

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/stowage/stowage/internal/e2e/guest"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run(address string) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return (&guest.Agent{}).Serve(conn)
}

// dial tries again for a while: what relays the address may be starting.
func dial(address string) (conn net.Conn, err error) {
	for range 100 {
		if conn, err = net.Dial("tcp", address); err == nil {
			return conn, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, err
}
