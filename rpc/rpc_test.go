package rpc_test

import (
	"testing"

	"github.com/stowage/stowage/rpc"
	"github.com/stowage/stowage/rpc/rpctest"
)

func TestInProcess(t *testing.T) {
	rpctest.Run(t, func(t *testing.T) rpc.Transport {
		tr := rpc.NewInProcess()
		t.Cleanup(func() { _ = tr.Close() })
		return tr
	})
}
