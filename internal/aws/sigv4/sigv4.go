// Package sigv4 verifies AWS Signature Version 4 on incoming requests, in the
// Authorization header and in the query of a presigned URL. It knows neither keys
// nor services: Parse says who claims to sign, the caller finds the secret, Verify
// decides.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
	terminator = "aws4_request"

	// MaxSkew is how far the signer's clock may be from ours.
	MaxSkew = 15 * time.Minute
	// maxExpires is how long a presigned request may be valid.
	maxExpires = 7 * 24 * time.Hour
)

// Reason is why a signature is refused. Each protocol has its own code for it.
type Reason int

// The reasons.
const (
	// Missing: the request is not signed at all.
	Missing Reason = iota
	// Incomplete: something the signature needs is absent or unreadable.
	Incomplete
	// Mismatch: the signature is not the one that the key makes, or not for now.
	Mismatch
)

// Error is a refusal; Message may be shown to the client.
type Error struct {
	Reason  Reason
	Message string
}

// Error implements error.
func (e *Error) Error() string { return "sigv4: " + e.Message }

// mismatchMessage is AWS's wording.
const mismatchMessage = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

func incomplete(format string, args ...any) *Error {
	return &Error{Reason: Incomplete, Message: fmt.Sprintf(format, args...)}
}

func mismatch(format string, args ...any) *Error {
	return &Error{Reason: Mismatch, Message: fmt.Sprintf(format, args...)}
}

// Signature is what a request claims about its signer.
type Signature struct {
	// AccessKeyID names the key: letters and digits only.
	AccessKeyID string
	// Date, Region and Service are the credential scope.
	Date, Region, Service string
	// Time is when the request was signed.
	Time time.Time
	// Presigned says that the signature is in the query, valid for Expires.
	Presigned bool
	Expires   time.Duration
	// SessionToken is that of temporary credentials, empty for long-term keys.
	SessionToken string

	signedHeaders []string
	signature     string
}

// Verify checks the signature with the secret of its key, against the request and
// its whole body. The error is an *Error.
func (s *Signature) Verify(r *http.Request, body []byte, secret core.Secret, now time.Time) error {
	if err := s.checkTime(now); err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	bodyHash := hex.EncodeToString(sum[:])
	if claimed := r.Header.Get("X-Amz-Content-Sha256"); claimed != "" && claimed != bodyHash {
		return mismatch("The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	query, err := canonicalQuery(r.URL.RawQuery, s.Presigned)
	if err != nil {
		return err
	}
	given, err := hex.DecodeString(s.signature)
	if err != nil {
		return mismatch(mismatchMessage)
	}
	key := s.signingKey(secret)
	headers := canonicalHeaders(r, s.signedHeaders)
	signed := strings.Join(s.signedHeaders, ";")
	ok := false
	for _, path := range canonicalPaths(r.URL.EscapedPath()) {
		canonical := strings.Join([]string{r.Method, path, query, headers, signed, bodyHash}, "\n")
		ok = hmac.Equal(given, mac(key, s.stringToSign(canonical))) || ok
	}
	if !ok {
		return mismatch(mismatchMessage)
	}
	return nil
}

// checkTime refuses a request that was signed too long ago or not yet.
func (s *Signature) checkTime(now time.Time) error {
	if s.Time.Format(dateFormat) != s.Date {
		return mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			s.Date, s.Time.Format(dateFormat), s.Time.Format(timeFormat))
	}
	window := MaxSkew
	if s.Presigned {
		window = s.Expires
	}
	if oldest := now.Add(-window); s.Time.Before(oldest) {
		return mismatch("Signature expired: %s is now earlier than %s (%s - %s.)",
			s.Time.Format(timeFormat), oldest.UTC().Format(timeFormat), now.UTC().Format(timeFormat), span(window))
	}
	if newest := now.Add(MaxSkew); s.Time.After(newest) {
		return mismatch("Signature not yet current: %s is still later than %s (%s + %s.)",
			s.Time.Format(timeFormat), newest.UTC().Format(timeFormat), now.UTC().Format(timeFormat), span(MaxSkew))
	}
	return nil
}

// span writes a duration as AWS does in these messages.
func span(d time.Duration) string {
	if d%time.Minute != 0 {
		return fmt.Sprintf("%d sec", d/time.Second)
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}

func (s *Signature) stringToSign(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{s.Date, s.Region, s.Service, terminator}, "/")
	return strings.Join([]string{algorithm, s.Time.Format(timeFormat), scope, hex.EncodeToString(sum[:])}, "\n")
}

func (s *Signature) signingKey(secret core.Secret) []byte {
	key := []byte("AWS4" + secret.Reveal())
	for _, part := range []string{s.Date, s.Region, s.Service, terminator} {
		key = mac(key, part)
	}
	return key
}

func mac(key []byte, data string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(data))
	return m.Sum(nil)
}

// checkSigned refuses a signature that leaves out what decides the meaning of the
// request: the host always, and the headers that we act on where they are present.
func (s *Signature) checkSigned(r *http.Request) error {
	if !slices.Contains(s.signedHeaders, "host") {
		return mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for _, h := range []string{"x-amz-target", "x-amz-security-token"} {
		if r.Header.Get(h) != "" && !slices.Contains(s.signedHeaders, h) {
			return mismatch("'%s' must be a 'SignedHeader' in the AWS Authorization.", h)
		}
	}
	return nil
}
