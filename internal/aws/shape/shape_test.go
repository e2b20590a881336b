package shape

import (
	"errors"
	"testing"

	"github.com/larder-cache/larder/internal/core"
)

type leaf struct {
	Key *string `required:"true" min:"1" max:"4"`
}

type tree struct {
	Name    *string      `required:"true"`
	Token   *core.Secret `required:"true"`
	Size    *int         `min:"5" max:"10"`
	Ratio   *float64     `min:"0.5"`
	Mode    *string      `enum:"single-az|cross-az"`
	Word    *string      `pattern:"[a-z]+"`
	Short   *string      `max:"3"`
	Modes   []string     `enum:"a|b"`
	Few     []string     `min:"1" max:"2" pattern:"x.*"`
	Leaves  []*leaf      `in:"Leaf"`
	Branch  *leaf
	Ordinal []int
}

func valid() *tree {
	return &tree{Name: core.Ptr("n"), Token: core.Ptr(core.NewSecret("t"))}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	plan := Of[tree]()
	for name, c := range map[string]struct {
		change func(*tree)
		want   string
	}{
		"as little as possible": {func(*tree) {}, ""},
		"all at the bounds": {func(v *tree) {
			v.Size, v.Ratio, v.Mode, v.Word, v.Short = core.Ptr(5), core.Ptr(0.5), core.Ptr("cross-az"), core.Ptr("abc"), core.Ptr("漢漢漢")
			v.Modes, v.Few, v.Leaves, v.Branch = []string{"a", "b"}, []string{"x1", "x2"}, []*leaf{{Key: core.Ptr("abcd")}}, &leaf{Key: core.Ptr("a")}
			v.Ordinal = []int{1}
		}, ""},
		"missing":             {func(v *tree) { v.Name = nil }, "parameter Name must be provided and must not be blank."},
		"blank":               {func(v *tree) { v.Name = core.Ptr("") }, "parameter Name must be provided and must not be blank."},
		"blank secret":        {func(v *tree) { v.Token = &core.Secret{} }, "parameter Token must be provided and must not be blank."},
		"too small":           {func(v *tree) { v.Size = core.Ptr(4) }, "parameter Size must be at least 5."},
		"too large":           {func(v *tree) { v.Size = core.Ptr(11) }, "parameter Size must be at most 10."},
		"fraction too small":  {func(v *tree) { v.Ratio = core.Ptr(0.4) }, "parameter Ratio must be at least 0.5."},
		"not a choice":        {func(v *tree) { v.Mode = core.Ptr("no-az") }, "parameter Mode must be one of: single-az, cross-az."},
		"part of a pattern":   {func(v *tree) { v.Word = core.Ptr("abc1") }, "parameter Word does not match the pattern ^(?:[a-z]+)$."},
		"too long":            {func(v *tree) { v.Short = core.Ptr("four") }, "parameter Short must have at most 3 characters."},
		"element no choice":   {func(v *tree) { v.Modes = []string{"a", "c"} }, "parameter Modes.2 must be one of: a, b."},
		"empty list":          {func(v *tree) { v.Few = []string{} }, "parameter Few must contain at least 1 elements."},
		"list too long":       {func(v *tree) { v.Few = []string{"x", "x", "x"} }, "parameter Few must contain at most 2 elements."},
		"element pattern":     {func(v *tree) { v.Few = []string{"x", "y"} }, "parameter Few.2 does not match the pattern ^(?:x.*)$."},
		"in a list":           {func(v *tree) { v.Leaves = []*leaf{{Key: core.Ptr("a")}, {}} }, "parameter Leaf.2.Key must be provided and must not be blank."},
		"in a structure":      {func(v *tree) { v.Branch = &leaf{Key: core.Ptr("abcde")} }, "parameter Branch.Key must have at most 4 characters."},
		"explicit empty list": {func(v *tree) { v.Leaves = []*leaf{} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := valid()
			c.change(v)
			err := plan.Validate(v)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var viol *Violation
			if !errors.As(err, &viol) || err.Error() != c.want {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestOfRefusesForeignTypes(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Fatal("a channel has a plan")
		}
	}()
	Of[struct{ C *chan int }]()
}
