"""pytest --optimizer NAME --baseline FILE: the release gate as tests."""
