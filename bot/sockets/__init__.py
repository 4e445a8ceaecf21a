"""The Socket.IO door: pushes to the widget and to agents, and the protocol of Rasa's widgets."""
