// Package archivetest starts databases for tests of the archive.
package archivetest
