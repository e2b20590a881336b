package elasticache

import (
	"strings"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// The length of a token in characters, and the punctuation it may contain
// beside letters and digits. The service documents a looser list for changes;
// the strict one holds everywhere here, so that a token that can be rotated in
// can also be used to create a group.
const (
	minTokenLength   = 16
	maxTokenLength   = 128
	tokenPunctuation = "!&#$^<>-"
)

// The strategies of a token change, and what AuthTokenStatus shows meanwhile.
const (
	strategyRotate = "ROTATE"
	strategySet    = "SET"
	strategyDelete = "DELETE"

	authRotating = "ROTATING"
	authSetting  = "SETTING"
)

// maxCredentials is how many credentials are valid at once: a third one drops
// the oldest.
const maxCredentials = 2

// rotationVersion is the first Redis whose token can be changed; with every
// Valkey it can.
const rotationVersion = "5.0.6"

// validateAuthToken checks length and characters of a token.
func validateAuthToken(token core.Secret) error {
	if token.Len() < minTokenLength || token.Len() > maxTokenLength {
		return errInvalidAuthToken()
	}
	for _, r := range token.Reveal() {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case strings.ContainsRune(tokenPunctuation, r):
		default:
			return errInvalidAuthToken()
		}
	}
	return nil
}

// sealToken makes the credential of a token. Only the sealed digest is kept: an
// engine needs no more, and the token itself can be lost by nobody.
func (s *Service) sealToken(token core.Secret) (resource.Credential, error) {
	digest, err := s.seal.Seal(core.NewSecret(token.SHA256()))
	if err != nil {
		return resource.Credential{}, err
	}
	return resource.Credential{Digest: digest}, nil
}

// credentialOf is the index of the credential that was made from token, or -1.
func (s *Service) credentialOf(auth resource.Auth, token core.Secret) (int, error) {
	digest := core.NewSecret(token.SHA256())
	for i, c := range auth.Credentials {
		if c.None {
			continue
		}
		known, err := s.seal.Unseal(c.Digest)
		if err != nil {
			return 0, err
		}
		if known.Equal(digest) {
			return i, nil
		}
	}
	return -1, nil
}

// nextAuth is the state machine of AUTH tokens. A group has at most two
// credentials, newest last, each a token or NONE (let in without a token):
//
//	           ROTATE A               ROTATE B            ROTATE C
//	[NONE] ---------------> [NONE,A] ---------> [A,B] ----------------> [B,C]
//	   |                        |               ^   |
//	   | SET A                  | SET A         |   | SET B
//	   v                        v    ROTATE B   |   v
//	  [A] <-------------------- + ------------- +  [B]
//
// known is the index in current of the credential that equals token, or -1.
// The result's Change says what the controllers have to carry out, ROTATING or
// SETTING; changed is false when the request is fulfilled already. Modified is
// the caller's to set.
func nextAuth(current resource.Auth, token resource.Credential, known int, strategy string) (next resource.Auth, changed bool, err error) {
	creds := current.Credentials
	if len(creds) == 0 {
		creds = []resource.Credential{{None: true}}
	}
	newest := known >= 0 && known == len(creds)-1
	switch strategy {
	case strategyRotate:
		if newest {
			return current, false, nil
		}
		return resource.Auth{Credentials: rotateIn(creds, token, known), Change: authRotating}, true, nil
	case strategySet:
		if newest && len(creds) == 1 {
			return current, false, nil
		}
		// SET on an open group is documented in two ways; it is accepted, as
		// infrastructure tools rely on it and it only ever closes a door.
		open := len(creds) == 1 && creds[0].None
		if !newest && !open {
			return current, false, errAuthTokenNotRotated()
		}
		if newest {
			token = creds[known]
		}
		return resource.Auth{Credentials: []resource.Credential{token}, Change: authSetting}, true, nil
	default:
		return current, false, errAuthTokenDelete()
	}
}

// rotateIn appends the token and keeps the two newest credentials. A token that
// was valid already moves to the end and is not listed twice.
func rotateIn(creds []resource.Credential, token resource.Credential, known int) []resource.Credential {
	next := make([]resource.Credential, 0, len(creds)+1)
	for i, c := range creds {
		if i != known {
			next = append(next, c)
		}
	}
	next = append(next, token)
	return next[max(0, len(next)-maxCredentials):]
}
