// Package query speaks AWS Query: requests are forms with dotted names, answers
// are XML documents with the result in an envelope. EC2's dialect (package
// ec2query) shares the reading of forms and the writing of XML.
package query

import (
	"errors"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Limits of a form. The deepest name of any action has seven parts; a list is
// never allocated by its largest index, so indices need no limit.
const (
	maxParameters = 10_000
	maxDepth      = 12
)

// ErrMalformed means that a form cannot be read at all.
var ErrMalformed = errors.New("query: the query string is malformed")

// Form is the tree of a request's parameters: names are split at their dots.
type Form struct{ root node }

type node struct {
	value    string
	hasValue bool
	kids     map[string]*node
}

// Parse reads the parameters of a request, from the URL's query and from the
// body together. Of a name that comes twice the first one counts.
func Parse(query, body string) (*Form, error) {
	f := &Form{}
	count := 0
	for _, s := range []string{query, body} {
		for s != "" {
			var pair string
			pair, s, _ = strings.Cut(s, "&")
			if pair == "" {
				continue
			}
			if count++; count > maxParameters {
				return nil, ErrMalformed
			}
			if err := f.add(pair); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

func (f *Form) add(pair string) error {
	rawName, rawValue, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(rawName)
	if err != nil {
		return ErrMalformed
	}
	value, err := url.QueryUnescape(rawValue)
	if err != nil {
		return ErrMalformed
	}
	if strings.Count(name, ".") >= maxDepth {
		return ErrMalformed
	}
	n := &f.root
	for part := range strings.SplitSeq(name, ".") {
		n = n.child(part)
	}
	if !n.hasValue {
		n.value, n.hasValue = value, true
	}
	return nil
}

func (n *node) child(name string) *node {
	kid := n.kids[name]
	if kid == nil {
		kid = &node{}
		if n.kids == nil {
			n.kids = map[string]*node{}
		}
		n.kids[name] = kid
	}
	return kid
}

// Get is the value of a plain parameter, empty if there is none.
func (f *Form) Get(name string) string {
	if n := f.root.kids[name]; n != nil {
		return n.value
	}
	return ""
}

// items are the elements of a list parameter in the order of their indices.
// Clients write Name.Item.N, older ones Name.member.N, EC2's Name.N; an empty
// value stands for a list that is there but empty. ok is false for anything else.
func (n *node) items(item string) (items []*node, ok bool) {
	for _, at := range []*node{n.kids[item], n.kids["member"], n} {
		if at == nil {
			continue
		}
		if items := at.numbered(); len(items) > 0 {
			return items, true
		}
		if at.hasValue && at.value == "" {
			return nil, true
		}
	}
	return nil, false
}

// numbered are the children whose names are numbers, sorted by them.
func (n *node) numbered() []*node {
	type entry struct {
		index uint64
		name  string
	}
	var entries []entry
	for name := range n.kids {
		if i, err := strconv.ParseUint(name, 10, 64); err == nil && i <= math.MaxInt32 {
			entries = append(entries, entry{i, name})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.index != b.index {
			return int(a.index) - int(b.index)
		}
		return strings.Compare(a.name, b.name)
	})
	items := make([]*node, len(entries))
	for i, e := range entries {
		items[i] = n.kids[e.name]
	}
	return items
}
