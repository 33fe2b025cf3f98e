//! The modem: the carrier's radio, which carries SMS, MMS and calls. It has no socket, so nothing of it is on the network; what
//! it knows every program on such a phone could ask for in 2014, and the client under test can here.

use crate::event::Event;
use crate::phone;

/// What the carrier's radio has carried, and who the phone is to it.
#[derive(Debug, Default)]
pub struct Modem {
    sim: bool,
    wifi: bool,
    carried: u64,
}

impl Modem {
    /// Takes what is the modem's or the phone's own of an event, before any program hears of it.
    pub fn on(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Sim => self.sim = true,
            Event::Wifi => self.wifi = true,
            Event::SmsSent(_)
            | Event::SmsReceived(_)
            | Event::MmsSent(_)
            | Event::MmsReceived(_)
            | Event::Called(_)
            | Event::Rang(_) => self.carry()?,
            _ => {}
        }
        Ok(())
    }

    fn carry(&mut self) -> Result<(), String> {
        if !self.sim {
            return Err("there is no SIM: the carrier carries nothing".into());
        }
        self.carried += 1;
        Ok(())
    }

    /// The handset's IMEI.
    pub fn imei(&self) -> &'static str {
        phone::IMEI
    }

    /// The SIM's IMSI, the owner's number and the carrier's name, once there is a SIM.
    pub fn sim(&self) -> Option<(&'static str, &'static str, &'static str)> {
        self.sim.then_some((phone::IMSI, phone::OWNER, phone::CARRIER))
    }

    /// The Wi-Fi's name, once it is joined.
    pub fn wifi(&self) -> Option<&'static str> {
        self.wifi.then_some(phone::WIFI)
    }
}
