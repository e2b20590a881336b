package core

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// Page cuts one page out of items that are sorted by key. marker is what an
// earlier call returned, or empty; scope ties a marker to one operation, so that
// a marker of another operation is refused. next is empty on the last page.
// The marker is the last key returned, so a page stays right while items come
// and go.
func Page[T any](items []T, key func(T) string, scope, marker string, limit int) (page []T, next string, err error) {
	after, err := decodeMarker(scope, marker)
	if err != nil {
		return nil, "", err
	}
	start := 0
	if marker != "" {
		for start < len(items) && key(items[start]) <= after {
			start++
		}
	}
	end := min(start+limit, len(items))
	page = items[start:end]
	if end < len(items) {
		next = encodeMarker(scope, key(items[end-1]))
	}
	return page, next, nil
}

const markerSum = 8

func markerDigest(scope, key string) []byte {
	m := hmac.New(sha256.New, []byte("larder-page:"+scope))
	m.Write([]byte(key))
	return m.Sum(nil)[:markerSum]
}

func encodeMarker(scope, key string) string {
	return base64.RawURLEncoding.EncodeToString(append(markerDigest(scope, key), key...))
}

func decodeMarker(scope, marker string) (string, error) {
	if marker == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(marker)
	if err != nil || len(b) < markerSum || !hmac.Equal(b[:markerSum], markerDigest(scope, string(b[markerSum:]))) {
		return "", Errorf("InvalidParameterValue", "The parameter Marker is not valid.")
	}
	return string(b[markerSum:]), nil
}
