package browser_test

// tapped lets a page's script stand between the page and its WebSockets. It has
// `sockets`, those that are open, and in `tap` what to do instead with an event that
// comes and with a text that goes:
//
//	tap.hears = (socket, event, handle) => handle(event)
//	tap.sends = (socket, text, send) => send(text)
//
// The constructor and the prototype's send stay the browser's own: the pages would
// take them from elsewhere if they were not.
const tapped = `
	window.sockets = new Set();
	window.tap = {
		hears: (socket, event, handle) => handle(event),
		sends: (socket, text, send) => send(text),
	};
	for (const name of ["onmessage", "onclose"]) {
		const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, name);
		Object.defineProperty(WebSocket.prototype, name, {
			set(handle) {
				if (!Object.hasOwn(this, "send")) {
					sockets.add(this);
					this.addEventListener("close", () => sockets.delete(this));
					this.send = (text) => tap.sends(this, text, (instead) => WebSocket.prototype.send.call(this, instead));
				}
				set.call(this, (event) => tap.hears(this, event, handle));
			},
		});
	}`
