package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// What a target answered, the same at every minute from one to another.
type scrape struct {
	From   int               `json:"from"`
	To     int               `json:"to"`
	Labels map[string]string `json:"labels"`
	Text   string            `json:"text"`
}

type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// The alerts that fire in the last minute, all rules being looked at every minute from the first on.
func fire(groups []rulefmt.RuleGroup, minutes int, scrapes []scrape) ([]alert, error) {
	samples := memory{}
	for _, scrape := range scrapes {
		if err := samples.add(scrape); err != nil {
			return nil, err
		}
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
		Parser: parser.NewParser(parser.Options{}),
	})
	query := func(ctx context.Context, expression string, at time.Time) (promql.Vector, error) {
		query, err := engine.NewInstantQuery(ctx, samples, nil, expression, at)
		if err != nil {
			return nil, err
		}
		defer query.Close()
		return query.Exec(ctx).Vector()
	}
	firing := []alert{}
	for _, group := range groups {
		for _, rule := range group.Rules {
			fired, err := watch(rule, minutes, query)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", rule.Alert, err)
			}
			firing = append(firing, fired...)
		}
	}
	return firing, nil
}

func watch(rule rulefmt.Rule, minutes int, query template.QueryFunc) ([]alert, error) {
	ctx := context.Background()
	since := map[string]int{}
	var firing []alert
	for minute := range minutes + 1 {
		at := time.Unix(int64(minute)*60, 0)
		vector, err := query(ctx, rule.Expr, at)
		if err != nil {
			return nil, err
		}
		active := map[string]int{}
		firing = nil
		for _, sample := range vector {
			key := sample.Metric.String()
			begin, known := since[key]
			if !known {
				begin = minute
			}
			active[key] = begin
			if time.Duration(minute-begin)*time.Minute < time.Duration(rule.For) {
				continue
			}
			one, err := told(ctx, rule, sample, at, query)
			if err != nil {
				return nil, err
			}
			firing = append(firing, one)
		}
		since = active
	}
	return firing, nil
}

func told(ctx context.Context, rule rulefmt.Rule, sample promql.Sample, at time.Time, query template.QueryFunc) (alert, error) {
	data := template.AlertTemplateData(sample.Metric.Map(), nil, "", sample)
	expand := func(texts map[string]string, into map[string]string) error {
		for name, text := range texts {
			text = "{{$labels := .Labels}}{{$value := .Value}}" + text
			expander := template.NewTemplateExpander(ctx, text, rule.Alert, data, model.TimeFromUnixNano(at.UnixNano()),
				query, &url.URL{}, nil)
			expanded, err := expander.Expand()
			if err != nil {
				return err
			}
			into[name] = expanded
		}
		return nil
	}
	one := alert{Labels: sample.Metric.Map(), Annotations: map[string]string{}}
	delete(one.Labels, labels.MetricName)
	one.Labels[labels.AlertName] = rule.Alert
	return one, cmp.Or(expand(rule.Labels, one.Labels), expand(rule.Annotations, one.Annotations))
}

// All series, by their labels.
type memory map[string]*series

type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}

func (m memory) add(scrape scrape) error {
	text := textparse.NewPromParser([]byte(scrape.Text), labels.NewSymbolTable(), false)
	for {
		entry, err := text.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var own labels.Labels
		text.Labels(&own)
		_, _, number := text.Series()
		all := labels.NewBuilder(own)
		for name, value := range scrape.Labels {
			all.Set(name, value)
		}
		whole := all.Labels()
		one := m[whole.String()]
		if one == nil {
			one = &series{labels: whole}
			m[whole.String()] = one
		}
		for minute := scrape.From; minute <= scrape.To; minute++ {
			one.samples = append(one.samples, sample{at: int64(minute) * 60_000, value: number})
		}
	}
}

func (m memory) Querier(_, _ int64) (storage.Querier, error) { return querier{memory: m}, nil }

type querier struct {
	storage.LabelQuerier
	memory memory
}

func (querier) Close() error { return nil }

func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &set{}
	for _, key := range slices.Sorted(maps.Keys(q.memory)) {
		one := q.memory[key]
		fits := func(matcher *labels.Matcher) bool { return matcher.Matches(one.labels.Get(matcher.Name)) }
		if !slices.ContainsFunc(matchers, func(matcher *labels.Matcher) bool { return !fits(matcher) }) {
			found.left = append(found.left, storage.NewListSeries(one.labels, one.samples))
		}
	}
	return found
}

type set struct {
	now  storage.Series
	left []storage.Series
}

func (s *set) Next() bool {
	if len(s.left) == 0 {
		return false
	}
	s.now, s.left = s.left[0], s.left[1:]
	return true
}
func (s *set) At() storage.Series              { return s.now }
func (*set) Err() error                        { return nil }
func (*set) Warnings() annotations.Annotations { return nil }

type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                    { return s.at }
func (sample) ST() int64                     { return 0 }
func (s sample) F() float64                  { return s.value }
func (sample) H() *histogram.Histogram       { return nil }
func (sample) FH() *histogram.FloatHistogram { return nil }
func (sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample         { return s }
