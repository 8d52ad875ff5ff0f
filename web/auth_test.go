package web

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

const testSecret = "0123456789abcdef0123456789abcdef"

func TestBearer(t *testing.T) {
	for _, test := range []struct {
		authorization, protocols string
		token                    string
		shown                    bool
	}{
		{"", "", "", false},
		{"Bearer a.b.c", "", "a.b.c", true},
		{"bearer  a.b.c ", "", "a.b.c", true},
		{"Bearer", "", "", true},
		{"BearerX a.b.c", "", "", false},
		{"Basic a.b.c", "", "", false},
		{"Basic a.b.c", "livesupport, bearer.a.b.c", "a.b.c", true},
		{"", "livesupport,bearer.a.b.c", "a.b.c", true},
		{"", "bearer.a.b.c, livesupport", "a.b.c", true},
		{"", "livesupport, bearer.", "", true},
		{"", "bearer.first, bearer.second", "first", true},
		{"", "livesupport, Bearer.a, token.b, bearer", "", false},
		{"Bearer one", "livesupport, bearer.two", "one", true},
	} {
		token, shown := bearer(test.authorization, test.protocols)
		require.Equal(t, test.token, token, "%+v", test)
		require.Equal(t, test.shown, shown, "%+v", test)
	}
}

func TestSignToken(t *testing.T) {
	token, err := SignToken(testSecret, "vika", "Vika", "aud", "iss", time.Hour)
	require.NoError(t, err)
	for _, v := range []*Verifier{NewSecretVerifier(testSecret, "", ""), NewSecretVerifier(testSecret, "aud", "iss")} {
		who, err := v.Verify(token)
		require.NoError(t, err)
		require.Equal(t, "vika", who.Subject)
		require.Equal(t, "Vika", who.Name)
		require.WithinDuration(t, time.Now().Add(time.Hour+clockSkew), who.Expires, 2*time.Second)
		require.NoError(t, v.Close())
	}
	_, err = NewSecretVerifier(testSecret, "other", "").Verify(token)
	require.ErrorIs(t, err, jwt.ErrTokenInvalidAudience)
	token, err = SignToken(testSecret, "vika", "", "", "", time.Hour)
	require.NoError(t, err)
	who, err := NewSecretVerifier(testSecret, "", "").Verify(token)
	require.NoError(t, err)
	require.Equal(t, "vika", who.Name)
}

// FuzzVerify: whatever is shown as a token, there is no panic, and nobody gets in
// but with the very text that was signed.
func FuzzVerify(f *testing.F) {
	now := time.Now()
	good, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "vika", "exp": now.Add(1000 * time.Hour).Unix()}).SignedString([]byte(testSecret))
	require.NoError(f, err)
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, good + ".", parts[0] + "." + parts[1] + ".", "..", "", "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"bnVsbA." + parts[1] + "." + parts[2], parts[0] + ".bnVsbA." + parts[2], "e30.e30.", parts[0] + ".W10." + parts[2],
	} {
		f.Add(seed)
	}
	v := NewSecretVerifier(testSecret, "", "")
	f.Fuzz(func(t *testing.T, text string) {
		token, shown := bearer("Bearer "+text, "")
		require.True(t, shown)
		if who, err := v.Verify(token); err == nil {
			require.Equal(t, good, token)
			require.Equal(t, "vika", who.Subject)
		}
		token, shown = bearer("", text)
		if who, err := v.Verify(token); err == nil {
			require.True(t, shown)
			require.Equal(t, good, token)
			require.Equal(t, "vika", who.Subject)
		}
	})
}
