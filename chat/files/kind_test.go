package files_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"livesupport/chat/files"
)

const (
	png = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
	gif = "GIF89a\x01\x00\x01\x00\x00\x00\x00;"
	pdf = "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
)

// A file's content decides its type, so nothing hostile passes for an accepted type.
func TestTypeOfHostileFiles(t *testing.T) {
	taken := []string{"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"}
	for name, test := range map[string]struct {
		content string
		want    string // "" if it is of no type that is accepted by default
	}{
		"png":                         {png, "image/png"},
		"jpeg":                        {"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "image/jpeg"},
		"gif":                         {gif, "image/gif"},
		"webp":                        {"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"},
		"pdf":                         {pdf, "application/pdf"},
		"text":                        {"Hello, this is what it says:\nerror 42\n", "text/plain"},
		"text in another script":      {"Привет, мир\n", "text/plain"},
		"a picture and a page in one": {gif + "<script>alert(1)</script>", "image/gif"},
		"a picture and a script":      {"GIF89a=1;alert(1)//", "image/gif"},
		"a page":                      {"<!DOCTYPE html><script>alert(1)</script>", ""},
		"a page behind spaces":        {"\n\t  <html><body onload=alert(1)>", ""},
		"a page behind a mark":        {"\xef\xbb\xbf<HTML>", ""},
		"a script's element":          {"<script>alert(1)</script>", ""},
		"a picture that runs":         {`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`, ""},
		"the same with a head":        {`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`, ""},
		"a shell script":              {"#!/bin/sh\nrm -rf /\n", ""},
		"a Python script":             {"#!/usr/bin/env python3\nprint(1)\n", ""},
		"a program for Windows":       {"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00", ""},
		"a program for Linux":         {"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00", ""},
		"a program for macOS":         {"\xcf\xfa\xed\xfe\x07\x00\x00\x01\x03\x00\x00\x00", ""},
		"a zip":                       {"PK\x03\x04\x14\x00\x00\x00\x08\x00", ""},
		"an office file":              {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ""},
		"a link of Windows":           {"L\x00\x00\x00\x01\x14\x02\x00", ""},
		"XML":                         {`<?xml version="1.0"?><a/>`, ""},
		"a PHP program":               {"<?php system($_GET['c']);", ""},
		"bytes":                       {"\x00\x01\x02\x03", ""},
		"JSON":                        {`{"a":[1,2,3]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			head, err := files.ReadHead(strings.NewReader(test.content))
			require.NoError(t, err)
			kind := head.Type()
			if test.want != "" {
				require.Equal(t, test.want, kind)
			} else {
				require.NotContains(t, taken, kind)
			}
			require.NotContains(t, kind, ";")
		})
	}
}

func TestReadHead(t *testing.T) {
	head, err := files.ReadHead(strings.NewReader(""))
	require.NoError(t, err)
	require.True(t, head.Empty())
	long := bytes.NewReader(bytes.Repeat([]byte("x"), 10_000))
	head, err = files.ReadHead(iotest.OneByteReader(long))
	require.NoError(t, err)
	require.False(t, head.Empty())
	require.Equal(t, 10_000-3072, long.Len())
	broken := errors.New("broken")
	_, err = files.ReadHead(io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
}
