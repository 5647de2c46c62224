//go:build ceph

package rbd

// #include <malloc.h>
import "C"

import "sync"

// tame keeps what librbd frees from staying with the process. It asks for 4 MiB
// at a time on many threads; by default each thread's arena keeps some of that
// for ever, 100 MiB and more in all. It is set before the first thread of
// librbd runs. That such buffers come fresh from the kernel costs some 0.15 s
// of CPU per GiB.
var tame = sync.OnceFunc(func() {
	C.mallopt(C.M_ARENA_MAX, 2)
	C.mallopt(C.M_MMAP_THRESHOLD, 3<<20)
})
