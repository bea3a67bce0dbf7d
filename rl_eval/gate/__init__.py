"""The release gate: may this optimizer release ship?"""
