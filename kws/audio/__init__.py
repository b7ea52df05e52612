"""Audio in: files, pipes and microphones come in, mono int16 samples at 16 kHz go out.

`files` reads recordings and raw PCM; `reconnect` delivers chunks from a microphone that may be
lost and come back; `conditioning` brings them to the spotter's rate and level.
"""
