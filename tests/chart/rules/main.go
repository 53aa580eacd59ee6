// Looks at the groups of a PrometheusRule with Prometheus' own parser and engine.
//
//	rules check <GROUPS      says what is wrong with them, as `promtool check rules` does, and prints each expression
//	rules fire <SITUATION    prints the alerts that fire, as `promtool test rules` finds them
//
// A situation is {"rules": GROUPS, "minutes": N, "scrapes": [...]}: what was scraped, and which minute is meant.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	switch {
	case len(os.Args) == 2 && os.Args[1] == "check":
		groups, err := parse(text)
		for _, group := range groups {
			for _, rule := range group.Rules {
				fmt.Println(rule.Expr)
			}
		}
		return err
	case len(os.Args) == 2 && os.Args[1] == "fire":
		var situation struct {
			Rules   json.RawMessage `json:"rules"`
			Minutes int             `json:"minutes"`
			Scrapes []scrape        `json:"scrapes"`
		}
		if err := json.Unmarshal(text, &situation); err != nil {
			return err
		}
		groups, err := parse(situation.Rules)
		if err != nil {
			return err
		}
		firing, err := fire(groups, situation.Minutes, situation.Scrapes)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(firing)
	default:
		return errors.New("usage: rules check|fire")
	}
}

func parse(text []byte) ([]rulefmt.RuleGroup, error) {
	groups, problems := rulefmt.Parse(text, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if len(groups.Groups) == 0 {
		return nil, errors.New("there is no group of rules")
	}
	return groups.Groups, nil
}
