package api

import (
	"context"
	"errors"
	"testing"
)

type (
	question struct{ Text *string }
	answer   struct{ Text *string }
)

func TestReturning(t *testing.T) {
	t.Parallel()
	refusal := errors.New("no")
	op := Returning("Ask", "AskResult", func(_ context.Context, in *question) (*answer, error) {
		switch {
		case in.Text == nil:
			return nil, nil
		case *in.Text == "":
			return &answer{}, refusal
		}
		return &answer{Text: in.Text}, nil
	}, "NotFound")
	if op.Name != "Ask" || op.Wrapper != "AskResult" || len(op.Errors) != 1 || op.Input == nil || op.Output == nil {
		t.Fatalf("described as %+v", op)
	}
	in := op.NewInput().(*question)
	if out, err := op.Call(t.Context(), in); err != nil || out.(*answer) == nil {
		t.Errorf("an absent result: %v, %v", out, err)
	}
	in.Text = new(string)
	if out, err := op.Call(t.Context(), in); !errors.Is(err, refusal) || out != nil {
		t.Errorf("a refusal: %v, %v", out, err)
	}
	*in.Text = "why"
	if out, err := op.Call(t.Context(), in); err != nil || *out.(*answer).Text != "why" {
		t.Errorf("a result: %v, %v", out, err)
	}
}

func TestVoid(t *testing.T) {
	t.Parallel()
	refusal := errors.New("no")
	op := Void("Tell", func(_ context.Context, in *question) error {
		if in.Text == nil {
			return refusal
		}
		return nil
	})
	in := op.NewInput().(*question)
	if _, err := op.Call(t.Context(), in); !errors.Is(err, refusal) || op.Output != nil {
		t.Errorf("a refusal: %v", err)
	}
	in.Text = new(string)
	if out, err := op.Call(t.Context(), in); out != nil || err != nil {
		t.Errorf("got %v, %v", out, err)
	}
}
