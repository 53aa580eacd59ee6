// Says how an object is as kstatus sees it, by which Flux and others wait: kstatus <OBJECT. Prints its verdict.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var object unstructured.Unstructured
	// By its own reader: kstatus wants whole numbers to be such.
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if err := object.UnmarshalJSON(text); err != nil {
		return err
	}
	verdict, err := status.Compute(&object)
	if err != nil {
		return err
	}
	fmt.Println(verdict.Status)
	return nil
}
