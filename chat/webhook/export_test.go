package webhook

var Public = public
