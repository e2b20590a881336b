package ec2

import (
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// question is what every request that lists something asks.
type question[T any] struct {
	// scope is the action, idParam what it calls the ids.
	scope, idParam string
	// ids are the only ones wanted, if there are any; each must exist.
	ids     []string
	id      func(T) string
	absent  func(id string) error
	filters []*wire.Filter
	// attributes are what filters can ask of one item. The blank item tells the
	// names of all filters where there is no item.
	attributes func(T) attributes
	blank      T
	max        *int
	token      *string
}

// answer picks the wanted items, sorted by id, and cuts a page: EC2 pages only
// when asked to, and never a list of named ids.
func answer[T any](all []T, q question[T]) ([]T, *string, error) {
	for _, id := range q.ids {
		if !slices.ContainsFunc(all, func(item T) bool { return q.id(item) == id }) {
			return nil, nil, q.absent(id)
		}
	}
	found := slices.DeleteFunc(slices.Clone(all), func(item T) bool { return !named(q.ids, q.id(item)) })
	if err := knownFilters(q.filters, q.attributes(q.blank)); err != nil {
		return nil, nil, err
	}
	found, err := filtered(found, q.filters, q.attributes)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(found, func(a, b T) int { return strings.Compare(q.id(a), q.id(b)) })
	if q.max == nil && q.token == nil {
		return found, nil, nil
	}
	if len(q.ids) > 0 {
		return nil, nil, errCombination(q.idParam, "maxResults")
	}
	limit := maxPage
	if q.max != nil {
		limit = *q.max
	}
	page, next, err := core.Page(found, q.id, q.scope, core.Val(q.token), limit)
	if err != nil {
		return nil, nil, errNextToken()
	}
	if next == "" {
		return page, nil, nil
	}
	return page, &next, nil
}

const maxPage = 1000
