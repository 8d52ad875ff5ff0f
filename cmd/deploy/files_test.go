package deploy

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// expectFiles sends the largest file that is taken, and one that is too large.
func (s *site) expectFiles(t *testing.T) {
	t.Helper()
	const most = 10 << 20
	v := s.register(t, "Nika")
	send := func(size int) (status int, body []byte) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.chat+"/chat/"+v.ChatID+"/files", strings.NewReader(strings.Repeat("x", size)))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Content-Type": "text/plain", "Livesupport-User": v.UserID, "Livesupport-Filename": "a.txt"} {
			request.Header.Set(name, value)
		}
		response, err := s.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err = io.ReadAll(response.Body); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, body
	}
	status, body := send(most)
	var file struct{ URL string }
	if err := json.Unmarshal(body, &file); err != nil || status != http.StatusCreated {
		t.Fatalf("a file of %d bytes: %d %s", most, status, body)
	}
	for range 2 {
		if status, content := s.body(t, s.chat+file.URL); status != http.StatusOK || len(content) != most {
			t.Errorf("it comes back with %d and %d bytes", status, len(content))
		}
	}
	if status, body := send(most + 1); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a file of %d bytes: %d %s", most+1, status, body)
	}
}
