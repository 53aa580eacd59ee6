// Builds CoreDNS with the few plugins that a cluster of the tests needs.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/reload"
)

// A query goes through the plugins in this order, whatever the Corefile's.
func init() {
	dnsserver.Directives = []string{"reload", "bind", "errors", "cache", "kubernetes", "forward"}
}

func main() { coremain.Run() }
