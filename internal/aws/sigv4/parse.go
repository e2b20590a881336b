package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSignedHeaders bounds the work that an unauthenticated request can ask for.
const maxSignedHeaders = 100

// Parse reads the signature of a request without judging it. The error is an *Error.
func Parse(r *http.Request) (*Signature, error) {
	header := r.Header.Get("Authorization")
	q := r.URL.Query()
	switch {
	case header != "":
		return parseHeader(r, header)
	case q.Has("X-Amz-Algorithm") || q.Has("X-Amz-Signature"):
		return parseQuery(r, q)
	}
	return nil, &Error{Reason: Missing, Message: "Request is missing Authentication Token"}
}

func parseHeader(r *http.Request, header string) (*Signature, error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if name != algorithm {
		return nil, incomplete("Unsupported AWS 'algorithm' in the Authorization header; only %s is supported.", algorithm)
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[k] = v
	}
	for _, k := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[k] == "" {
			return nil, incomplete("Authorization header requires '%s' parameter.", k)
		}
	}
	s := &Signature{SessionToken: r.Header.Get("X-Amz-Security-Token")}
	var err error
	if s.Time, err = headerTime(r.Header); err != nil {
		return nil, err
	}
	return s.fill(r, fields["Credential"], fields["SignedHeaders"], fields["Signature"])
}

func parseQuery(r *http.Request, q url.Values) (*Signature, error) {
	if a := q.Get("X-Amz-Algorithm"); a != algorithm {
		return nil, incomplete("Unsupported AWS 'algorithm' in X-Amz-Algorithm; only %s is supported.", algorithm)
	}
	for _, k := range []string{"X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if q.Get(k) == "" {
			return nil, incomplete("AWS query-string parameters must include '%s'.", k)
		}
	}
	s := &Signature{Presigned: true, SessionToken: q.Get("X-Amz-Security-Token"), Expires: MaxSkew}
	if v := q.Get("X-Amz-Expires"); v != "" {
		seconds, err := strconv.Atoi(v)
		if err != nil || seconds < 0 || seconds > int(maxExpires/time.Second) {
			return nil, incomplete("X-Amz-Expires must be a number of seconds from 0 to %d.", int(maxExpires/time.Second))
		}
		s.Expires = time.Duration(seconds) * time.Second
	}
	var err error
	if s.Time, err = time.Parse(timeFormat, q.Get("X-Amz-Date")); err != nil {
		return nil, incomplete("Date must be in ISO-8601 'basic format'.")
	}
	return s.fill(r, q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature"))
}

// headerTime is the time of X-Amz-Date, or of Date where that is absent.
func headerTime(h http.Header) (time.Time, error) {
	value := h.Get("X-Amz-Date")
	if value == "" {
		value = h.Get("Date")
	}
	if value == "" {
		return time.Time{}, incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if t, err := time.Parse(timeFormat, value); err == nil {
		return t, nil
	}
	t, err := http.ParseTime(value)
	if err != nil {
		return time.Time{}, incomplete("Date must be in ISO-8601 'basic format'.")
	}
	return t.UTC(), nil
}

func (s *Signature) fill(r *http.Request, credential, signedHeaders, signature string) (*Signature, error) {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != terminator || slices.ContainsFunc(scope, notWord) {
		return nil, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request.")
	}
	s.AccessKeyID, s.Date, s.Region, s.Service = scope[0], scope[1], scope[2], scope[3]
	s.signedHeaders = strings.Split(strings.ToLower(signedHeaders), ";")
	if len(s.signedHeaders) > maxSignedHeaders {
		return nil, incomplete("SignedHeaders names more than %d headers.", maxSignedHeaders)
	}
	s.signature = signature
	if err := s.checkSigned(r); err != nil {
		return nil, err
	}
	return s, nil
}

// notWord reports whether a part of the scope is not a short word of letters,
// digits and a few marks: only such ones reach the log.
func notWord(s string) bool {
	return s == "" || len(s) > 128 || strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || 'z' < c) && (c < 'A' || 'Z' < c) && (c < '0' || '9' < c) && !strings.ContainsRune("_.-", c)
	})
}
