//! Who services of AWS are told that we are: requests signed with an access key.
