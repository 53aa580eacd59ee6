// Names the program that is built from this module, so that go.mod keeps what it needs.
//go:build tools

package tools

import _ "sigs.k8s.io/external-dns"
